"""Which clips a folder of RAVDESS or CREMA-D movies holds, which are missing, and which files are left out."""

from pathlib import Path

import pytest

from examples.aver.clips import EMOTIONS
from examples.aver.sources import Inventory, MovieClip, find_source, read_cremad, read_movies, read_ravdess_movies
from examples.aver.sources.cremad import design
from examples.aver.sources.ravdess_movies import expected_clips
from mrpnkit.errors import CorpusError, InputError


def put(path: Path, content: bytes = b"movie") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def ravdess(tmp_path: Path) -> Path:
    """Two clips with their variants, a song, and files of somebody else."""
    for name in (
        "Actor_12/01-01-04-02-01-02-12.mp4",
        "Actor_12/02-01-04-02-01-02-12.mp4",
        "Actor_03/01-01-02-01-02-01-03.mp4",
        "Actor_03/01-02-02-01-02-01-03.mp4",
        "audio/03-01-02-01-02-01-03.wav",
        "Actor_03/holiday.mp4",
        "Actor_03/.01-01-01-01-01-01-03.mp4",
        "notes.txt",
    ):
        put(tmp_path / name)
    return tmp_path


def test_ravdess_clips(ravdess: Path) -> None:
    found = read_ravdess_movies(ravdess)
    assert [(clip.id, clip.actor, clip.sex, clip.emotion) for clip in found.clips] == [
        ("01-02-01-02-01-03", "3", "male", "calm"),
        ("01-04-02-01-02-12", "12", "female", "sad"),
    ]
    assert found.clips[1].attributes == {"intensity": "strong", "statement": "1", "repetition": "2"}
    assert found.clips[0].movie.name == "01-01-02-01-02-01-03.mp4"
    assert found.clips[0].wave is None
    assert found.classes == EMOTIONS
    assert sorted(left.reason for left in found.left_out) == ["song, not speech", "the same takes without sound (02)"]


def test_what_ravdess_lacks_is_listed(ravdess: Path) -> None:
    found = read_ravdess_movies(ravdess)
    assert found.expected == 1440
    assert len(found.missing) == 1438
    assert set(found.missing) | {clip.id for clip in found.clips} == expected_clips()
    assert found.missing[0] == "01-01-01-01-01-01"  # by actor
    text = found.summary()
    assert "RAVDESS movies: 2 of 1440 clips are here, 2 are used. Missing: 01-01-01-01-01-01, " in text
    assert "and 1433 more. Left out: 1 file, song, not speech." in text
    assert "Left out: 1 file, the same takes without sound (02)." in text


def test_the_whole_of_ravdess(tmp_path: Path) -> None:
    for clip in expected_clips():
        (tmp_path / f"01-{clip}.mp4").touch()
    found = read_ravdess_movies(tmp_path)
    assert (len(found.clips), found.missing, found.left_out) == (1440, (), ())
    assert [sum(clip.emotion == emotion for clip in found.clips) for emotion in EMOTIONS] == [96, *[192] * 7]
    assert {clip.actor for clip in found.clips} == {str(actor) for actor in range(1, 25)}
    assert all((clip.sex == "male") == (int(clip.actor) % 2 == 1) for clip in found.clips)


def test_ravdess_sound_from_recordings(ravdess: Path) -> None:
    waves = [clip.wave for clip in read_ravdess_movies(ravdess, sound="recording").clips]
    assert waves == [ravdess / "audio/03-01-02-01-02-01-03.wav", None]


def test_the_same_movie_twice(ravdess: Path) -> None:
    put(ravdess / "copy" / "01-01-02-01-02-01-03.mp4")
    found = read_ravdess_movies(ravdess)
    assert len(found.clips) == 2
    assert "here twice" in [left.reason for left in found.left_out]
    put(ravdess / "copy" / "01-01-02-01-02-01-03.mp4", b"another movie")
    with pytest.raises(CorpusError, match=r"are the same clip in different sizes; remove the one that is not right"):
        read_ravdess_movies(ravdess)


def test_no_ravdess(tmp_path: Path) -> None:
    put(tmp_path / "02-01-04-02-01-02-12.mp4")
    with pytest.raises(CorpusError, match=r"no RAVDESS movie of speech with sound.*Zenodo record 1188976"):
        read_ravdess_movies(tmp_path)
    with pytest.raises(CorpusError, match=r"nowhere does not exist; give the one that the movies were put in"):
        read_ravdess_movies(tmp_path / "nowhere")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"


@pytest.fixture
def cremad(tmp_path: Path) -> Path:
    """Four clips of two actors, and the tables."""
    for name in ("1001_DFA_ANG_XX", "1001_IEO_HAP_HI", "1002_TIE_NEU_XX", "1002_WSI_FEA_XX"):
        put(tmp_path / "VideoFlash" / f"{name}.flv")
    put(tmp_path / "VideoFlash" / "1002_ITS_SAD_XX.flv", POINTER)
    put(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav")
    put(
        tmp_path / "VideoDemographics.csv",
        b'"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","x","y"\n1002,21,"Female","x","y"\n',
    )
    put(
        tmp_path / "processedResults" / "summaryTable.csv",
        b'"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
        b'"1","1001_DFA_ANG_XX","A","1","A","1","D","1"\n'
        b'"2","1001_IEO_HAP_HI","H","1","H","1","H","1"\n'
        b'"3","1002_TIE_NEU_XX","N","1","N","1","A:N","50:50"\n',
    )
    return tmp_path


def test_cremad_clips(cremad: Path) -> None:
    found = read_cremad(cremad)
    assert [(clip.id, clip.actor, clip.sex, clip.emotion) for clip in found.clips] == [
        ("1001_DFA_ANG_XX", "1001", "male", "angry"),
        ("1001_IEO_HAP_HI", "1001", "male", "happy"),
        ("1002_TIE_NEU_XX", "1002", "female", "neutral"),
        ("1002_WSI_FEA_XX", "1002", "female", "fearful"),
    ]
    assert found.clips[1].attributes == {"sentence": "IEO", "level": "high"}
    assert found.classes == ("neutral", "happy", "sad", "angry", "fearful", "disgust")
    assert (found.expected, len(found.missing)) == (7462, 7458)
    assert [left.path.stem for left in found.left_out] == ["1002_ITS_SAD_XX"]
    assert "Git LFS pointers" in found.left_out[0].reason
    recorded = read_cremad(cremad, sound="recording")
    assert [clip.wave for clip in recorded.clips] == [cremad / "AudioWAV/1001_DFA_ANG_XX.wav", None, None, None]


def test_the_crowd_s_labels(cremad: Path) -> None:
    found = read_cremad(cremad, labels="crowd")
    assert [(clip.id, clip.emotion) for clip in found.clips] == [
        ("1001_DFA_ANG_XX", "disgust"),
        ("1001_IEO_HAP_HI", "happy"),
    ]
    assert {left.path.stem: left.reason for left in found.left_out if left.path.stem.startswith("1002_T")} == {
        "1002_TIE_NEU_XX": "on which the crowd is divided"
    }
    assert {left.path.stem: left.reason for left in found.left_out if left.path.stem.startswith("1002_W")} == {
        "1002_WSI_FEA_XX": "which the crowd's table does not list"
    }
    assert found.name == "CREMA-D movies, crowd emotions"


def test_the_published_list_says_what_is_missing(cremad: Path) -> None:
    put(cremad / "SentenceFilenames.csv", b'"Stimulus_Number","Filename"\n1,"1001_DFA_ANG_XX"\n2,"1091_WSI_SAD_XX"\n')
    found = read_cremad(cremad)
    assert (found.expected, found.missing) == (2, ("1091_WSI_SAD_XX",))


def test_the_design_has_82_clips_an_actor() -> None:
    assert len(design()) == 91 * 82
    assert sum(name.startswith("1050_IEO") for name in design()) == 16


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("no table", r"is no VideoDemographics\.csv, which says the Sex of each ActorID"),
        ("column", r"VideoDemographics\.csv has no columns ActorID and Sex; it has ActorID, Age"),
        ("pointer", r"has no columns ActorID and Sex; it has version https"),
        ("actor", r"gives the actor 1002 the sex ''; expected Male or Female"),
        ("movies", r"is no CREMA-D movie such as VideoFlash/1001_DFA_ANG_XX\.flv.*run 'git lfs pull'"),
    ],
)
def test_cremad_folders_that_are_not_whole(cremad: Path, kind: str, text: str) -> None:
    table = cremad / "VideoDemographics.csv"
    if kind == "no table":
        table.unlink()
    elif kind == "column":
        table.write_text("ActorID,Age\n1001,51\n")
    elif kind == "pointer":
        table.write_bytes(POINTER)
    elif kind == "actor":
        table.write_text("ActorID,Sex\n1001,Male\n")
    else:
        for movie in cremad.rglob("*.flv"):
            movie.write_bytes(POINTER)
    with pytest.raises(CorpusError, match=text):
        read_cremad(cremad)


def test_the_data_set_is_found_out(ravdess: Path, cremad: Path, tmp_path: Path) -> None:
    # Both fixtures share a folder: CREMA-D has five files, RAVDESS four.
    assert find_source(tmp_path) == "cremad"
    for path in tmp_path.rglob("1*.flv"):
        path.unlink()
    assert find_source(tmp_path) == "ravdess"
    assert len(read_movies(tmp_path).clips) == 2
    with pytest.raises(InputError, match=r"RAVDESS has only intended emotions"):
        read_movies(tmp_path, labels="crowd")
    other = tmp_path / "other"
    put(other / "holiday.mp4")
    with pytest.raises(CorpusError, match=r"no movies of RAVDESS .* or CREMA-D .*named holiday\.mp4"):
        find_source(other)


def reasons(found: Inventory) -> dict[str, str]:
    return {left.path.name: left.reason for left in found.left_out}


def test_names_that_look_like_ravdess_and_are_none_are_told(ravdess: Path) -> None:
    for name in ("01-01-09-01-02-01-03.mp4", "01-01-02-01-02-01-25.mp4", "01-01-00-01-02-01-03.MOV", "1-1-2.mp4"):
        put(ravdess / "Actor_03" / name)
    put(ravdess / "1001_DFA_ANG_XX.flv")
    put(ravdess / "recordings" / "01-01-09-01-02-01-03.csv")  # no movie
    found = read_ravdess_movies(ravdess)
    assert len(found.clips) == 2
    told = reasons(found)
    assert told.pop("01-02-02-01-02-01-03.mp4") == "song, not speech"
    assert told.pop("02-01-04-02-01-02-12.mp4") == "the same takes without sound (02)"
    assert told == {
        "01-01-09-01-02-01-03.mp4": "named like RAVDESS, but its emotion is 09, expected 01 to 08",
        "01-01-00-01-02-01-03.MOV": "named like RAVDESS, but its emotion is 00, expected 01 to 08",
        "01-01-02-01-02-01-25.mp4": "named like RAVDESS, but its actor is 25, expected 01 to 24",
        "1001_DFA_ANG_XX.flv": "of CREMA-D, in a folder of RAVDESS (prepare it with --source cremad)",
    }
    assert "Left out: 1 file, of CREMA-D, in a folder of RAVDESS" in found.summary()


def test_names_that_look_like_cremad_and_are_none_are_told(cremad: Path) -> None:
    for name in ("1001_ABC_ANG_XX", "1001_DFA_SUR_XX", "1001_DFA_ANG_UP", "holiday", "01-01-02-01-02-01-03"):
        put(cremad / "VideoFlash" / f"{name}.flv")
    found = read_cremad(cremad)
    assert len(found.clips) == 4
    told = reasons(found)
    assert told.pop("1002_ITS_SAD_XX.flv").startswith("Git LFS pointers")
    assert told == {
        "1001_ABC_ANG_XX.flv": "named like CREMA-D, but its sentence is ABC, expected one of "
        "IEO, TIE, IOM, IWW, TAI, MTI, IWL, ITH, DFA, ITS, TSI, WSI",
        "1001_DFA_SUR_XX.flv": "named like CREMA-D, but its emotion is SUR, expected one of "
        "NEU, HAP, SAD, ANG, FEA, DIS",
        "1001_DFA_ANG_UP.flv": "named like CREMA-D, but its level is UP, expected one of LO, MD, HI, XX, X",
        "01-01-02-01-02-01-03.flv": "named like RAVDESS, in a folder of CREMA-D (prepare it with --source ravdess)",
    }


def test_only_names_that_look_like_cremad(tmp_path: Path) -> None:
    put(tmp_path / "1001_ABC_ANG_XX.flv")
    with pytest.raises(CorpusError, match=r"is no CREMA-D movie such as VideoFlash/1001_DFA_ANG_XX\.flv\.$"):
        read_cremad(tmp_path)


def test_a_clip_must_make_sense() -> None:
    with pytest.raises(CorpusError, match=r"shows 'bored', which is no known emotion"):
        MovieClip(id="x", movie=Path("x"), actor="1", sex="male", emotion="bored")
    with pytest.raises(CorpusError, match=r"id '\.\./x' is no file name"):
        MovieClip(id="../x", movie=Path("x"), actor="1", sex="male", emotion="calm")


@pytest.mark.data
def test_the_real_movies(shared_data: Path) -> None:
    found = read_movies(shared_data / "ravdess_mp4")
    assert len(found.clips) == 5
    assert [left.path.name for left in found.left_out] == ["02-01-01-01-01-02-01.mp4"]
    assert len(found.missing) == 1435
