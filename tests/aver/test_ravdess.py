"""The readers of RAVDESS on small folders made here, and on the real archive where it is."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from examples.aver.clips import EMOTIONS, Clip, read_wave
from examples.aver.ravdess import detect_layout, read_landmark_archive, read_ravdess
from examples.aver.ravdess_official import decode_name, read_official, survey
from mrpnkit.errors import CorpusError
from tests.aver.test_landmarks import face, write_openface

SAD = "01-04-02-01-02-12"
CALM = "01-02-01-02-01-03"


def wav(path: Path, *, seconds: float = 0.5, rate: int = 48000, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(path, np.repeat(0.5 * sound[:, None], channels, 1), rate)
    return path


def tracked(path: Path, frames: int = 5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_openface(path, face(frames=frames), success=[1] * frames, confidence=[0.98] * frames)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Two complete clips, and much that is none: song, video only, a movie's sound, other files."""
    for clip in (SAD, CALM):
        actor = f"Actor_{clip[-2:]}"
        wav(tmp_path / "speech" / actor / f"03-{clip}.wav")
        tracked(tmp_path / "tracking" / f"01-{clip}.csv")
    wav(tmp_path / "speech" / "Actor_12" / f"01-{SAD}.wav", seconds=0.1)
    wav(tmp_path / "speech" / "Actor_12" / "03-02-04-02-01-02-12.wav")
    wav(tmp_path / "speech" / "Actor_12" / "02-01-04-02-01-01-12.wav")
    tracked(tmp_path / "tracking" / "01-02-04-02-01-02-12.csv")
    (tmp_path / "readme.txt").write_text("nothing")
    (tmp_path / "actors.csv").write_text("a,b\n")
    return tmp_path


def test_official_clips(official: Path) -> None:
    clips = read_ravdess(official)
    assert [(clip.id, clip.actor, clip.sex, clip.emotion, clip.label) for clip in clips] == [
        (CALM, "3", "male", "calm", 1),
        (SAD, "12", "female", "sad", 3),
    ]
    assert clips[1].attributes == {"intensity": "strong", "statement": "1", "repetition": "2"}
    assert clips[0].attributes == {"intensity": "normal", "statement": "2", "repetition": "1"}
    points, fps = clips[1].landmarks()
    np.testing.assert_allclose(points, face(frames=5), atol=1e-3)
    assert fps == pytest.approx(29.97, abs=0.001)
    speech = clips[1].speech()
    assert speech.shape == (8000,)  # half a second of the 03 recording, brought from 48 to 16 kHz
    assert speech.dtype == np.float32
    np.testing.assert_allclose(
        speech[500:7500], 0.5 * np.sin(2 * np.pi * 440 * np.arange(500, 7500) / 16000), atol=1e-3
    )


def test_clips_can_be_sent_to_other_processes(official: Path) -> None:
    for clip in read_official(official):
        again: Clip = pickle.loads(pickle.dumps(clip))
        np.testing.assert_array_equal(again.landmarks().points, clip.landmarks().points)
        np.testing.assert_array_equal(again.speech(), clip.speech())


def test_incomplete_clips(official: Path) -> None:
    (official / "tracking" / f"01-{CALM}.csv").unlink()
    wav(official / "speech" / "Actor_24" / "03-01-08-01-01-01-24.wav")
    tracked(official / "tracking" / "01-01-01-01-01-01-07.csv")
    assert survey(official).without_landmarks == [CALM, "01-08-01-01-01-24"]
    assert survey(official).without_audio == ["01-01-01-01-01-07"]
    listed = (
        rf"1 clips have no recording \(01-01-01-01-01-07\); 2 clips have no landmarks \({CALM}, 01-08-01-01-01-24\)"
    )
    with pytest.warns(UserWarning, match=listed + r"\. These clips are left out"):
        assert [clip.id for clip in read_official(official)] == [SAD]
    with pytest.raises(CorpusError, match=listed + r"\. Add the files .* or 'skip' to leave them out"):
        read_official(official, incomplete="refuse")
    kept = {clip.id: clip for clip in read_official(official, incomplete="keep")}
    assert {name: clip.modalities for name, clip in kept.items()} == {
        CALM: ("audio",),
        "01-01-01-01-01-07": ("video",),
        SAD: ("video", "audio"),
        "01-08-01-01-01-24": ("audio",),
    }
    assert kept[CALM].landmarks().points.shape == (0, 68, 2)
    assert kept["01-01-01-01-01-07"].speech().shape == (0,)
    with pytest.raises(CorpusError, match=f"Clip '{CALM}' has no pictures; its corpus holds audio only"):
        kept[CALM].frames()
    with pytest.raises(CorpusError, match=r"incomplete is 'maybe'"):
        read_official(official, incomplete="maybe")  # type: ignore[arg-type]


def test_only_one_modality_at_all(tmp_path: Path) -> None:
    wav(tmp_path / "Actor_12" / f"03-{SAD}.wav")
    with pytest.raises(CorpusError, match=r"1 clips have no landmarks .* pass incomplete='keep'"):
        read_official(tmp_path)
    assert [clip.modalities for clip in read_official(tmp_path, incomplete="keep")] == [("audio",)]


def test_copies_of_a_file_count_once_and_different_ones_are_refused(official: Path) -> None:
    wav(official / "audio_speech_actors_01-24" / "Actor_12" / f"03-{SAD}.wav")
    assert len(read_official(official)) == 2
    wav(official / "audio_speech_actors_01-24" / "Actor_03" / f"03-{CALM}.wav", seconds=0.2)
    with pytest.raises(CorpusError, match=r"have the same name and different sizes; remove the one"):
        read_official(official)


def test_names() -> None:
    assert decode_name("01-01-08-02-02-02-24")._asdict() == {
        "modality": 1, "channel": 1, "emotion": 8, "intensity": 2, "statement": 2, "repetition": 2, "actor": 24,
    }  # fmt: skip
    with pytest.raises(CorpusError, match=r"'happy-3' is no RAVDESS name; expected seven two-digit numbers"):
        decode_name("happy-3")
    with pytest.raises(CorpusError, match=r"its emotion is 09, expected 01 to 08"):
        decode_name("03-01-09-01-01-01-01")


def test_layouts_are_told_apart(tmp_path: Path, official: Path) -> None:
    assert detect_layout(official) == "official"
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("x")
    with pytest.raises(
        CorpusError, match=r"Looked for \(1\) clips\.csv.*\(2\).*03-01-06.*The folder holds: notes\.txt"
    ):
        read_ravdess(empty)
    with pytest.raises(CorpusError, match=r"Below .*empty are neither recordings"):
        read_official(empty)
    with pytest.raises(CorpusError, match=r"gone does not exist; give the one that the RAVDESS files were put in"):
        detect_layout(tmp_path / "gone")
    with pytest.raises(CorpusError, match=r"gone does not exist"):
        survey(tmp_path / "gone")


@pytest.mark.parametrize("name", ["Actor_12/01-01-06-01-02-01-12.mp4", "VideoFlash/1001_DFA_ANG_XX.flv"])
def test_a_folder_of_movies_is_told_the_way_of_movies(name: str, tmp_path: Path) -> None:
    movie = tmp_path / name
    movie.parent.mkdir()
    movie.write_bytes(b"a movie")
    with pytest.raises(CorpusError, match=rf"holds movies, such as {movie.name}; .*prepare-movies .*table 2 --corpus"):
        read_ravdess(tmp_path)
    wav(tmp_path / "Actor_12" / f"03-{SAD}.wav")
    assert detect_layout(tmp_path) == "official"


def test_recordings_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.wav does not exist"):
        read_wave(tmp_path / "none.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFFxxxx")
    with pytest.raises(CorpusError, match=r"broken\.wav cannot be decoded"):
        read_wave(tmp_path / "broken.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(CorpusError, match=r"empty\.wav has no samples"):
        read_wave(tmp_path / "empty.wav")
    assert read_wave(wav(tmp_path / "stereo.wav", rate=16000, channels=2)).shape == (8000,)


def test_a_clip_must_make_sense() -> None:
    with pytest.raises(CorpusError, match=r"'x' shows 'bored', which is no known emotion"):
        Clip(id="x", actor="1", sex="male", emotion="bored")
    with pytest.raises(CorpusError, match=r"sex is 'm'; expected 'male' or 'female'"):
        Clip(id="x", actor="1", sex="m", emotion="calm")  # type: ignore[arg-type]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two clips in the compact layout."""
    rows = [f"{SAD},sad,3,strong,1,2,12,female,4,0.5", f"{CALM},calm,1,normal,2,1,3,male,5,0.5"]
    header = "id,emotion,label,intensity,statement,repetition,actor,sex,n_frames,audio_seconds"
    (tmp_path / "clips.csv").write_text("\n".join([header, *rows]) + "\n")
    for clip in (SAD, CALM):
        (tmp_path / "audio").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "audio" / f"{clip}.flac", np.full(8000, 0.25), 16000)
    xy = np.concatenate([face(1, frames=5), face(2, frames=4)]).astype(np.int16)
    np.savez(tmp_path / "landmarks.npz", ids=np.array([CALM, SAD]), n_frames=np.array([5, 4]), xy=xy, fps=29.97)
    return tmp_path


def test_archive_clips(archive: Path) -> None:
    clips = read_ravdess(archive)
    assert [(clip.id, clip.actor, clip.sex, clip.label) for clip in clips] == [
        (SAD, "12", "female", 3),
        (CALM, "3", "male", 1),
    ]
    np.testing.assert_array_equal(clips[0].landmarks().points, face(2, frames=4).astype(np.int16))
    np.testing.assert_array_equal(clips[1].landmarks().points, face(1, frames=5).astype(np.int16))
    assert clips[0].landmarks().fps == 29.97
    np.testing.assert_allclose(clips[0].speech(), np.full(8000, 0.25), atol=1e-4)


def damage(archive: Path, kind: str) -> None:
    table = archive / "clips.csv"
    text = table.read_text()
    arrays = dict(np.load(archive / "landmarks.npz"))
    if kind == "column":
        table.write_text(text.replace("emotion,label", "feeling,label"))
    elif kind == "twice":
        table.write_text(text + text.splitlines()[1] + "\n")
    elif kind == "no clips":
        table.write_text(text.splitlines()[0] + "\n")
    elif kind == "unknown":
        table.write_text(text.replace(CALM, "x"))
    elif kind == "frames":
        table.write_text(text.replace("male,5", "male,6"))
    elif kind == "label":
        table.write_text(text.replace("sad,3", "sad,4"))
    elif kind == "recording":
        (archive / "audio" / f"{SAD}.flac").unlink()
    elif kind == "array":
        np.savez(archive / "landmarks.npz", **{name: arrays[name] for name in ("ids", "xy")})
    elif kind == "rows":
        np.savez(archive / "landmarks.npz", **{**arrays, "xy": arrays["xy"][:-1]})
    elif kind == "no archive":
        (archive / "landmarks.npz").write_bytes(b"nothing")
    else:
        table.unlink()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("column", r"clips\.csv has no column emotion; it has id, feeling"),
        ("twice", rf"lists the clip '{SAD}' more than once"),
        ("no clips", r"clips\.csv lists no clips"),
        ("unknown", r"landmarks\.npz has no landmarks of the clip 'x'"),
        ("frames", r"has 6 frames in clips\.csv and 5 in landmarks\.npz"),
        ("label", r"has emotion 'sad' and label 4"),
        ("recording", rf"{SAD}\.flac does not exist"),
        ("array", r"landmarks\.npz has no array n_frames, fps; it has ids, xy"),
        ("rows", r"xy has the shape \(8, 68, 2\) for 2 ids; expected \(9, 68, 2\)"),
        ("no archive", r"landmarks\.npz cannot be read as a NumPy archive"),
        ("table", r"has no clips\.csv; expected clips\.csv, landmarks\.npz and audio/"),
    ],
)
def test_archives_that_are_not_whole(archive: Path, kind: str, text: str) -> None:
    damage(archive, kind)
    with pytest.raises(CorpusError, match=text):
        read_landmark_archive(archive)


@pytest.mark.data
def test_the_real_archive(shared_data: Path) -> None:
    clips = read_ravdess(shared_data / "ravdess")
    assert len(clips) == 1200
    assert {clip.actor for clip in clips} == {str(actor) for actor in range(1, 21)}
    counts = [sum(clip.emotion == emotion for clip in clips) for emotion in EMOTIONS]
    assert counts == [80, *[160] * 7]
    assert all((clip.sex == "male") == (int(clip.actor) % 2 == 1) for clip in clips)
    assert clips[0].id == "01-01-01-01-01-01"
    assert clips[0].landmarks().points.shape == (99, 68, 2)
    for clip in clips[:: len(clips) // 20]:
        points, fps = clip.landmarks()
        assert abs(len(points) / fps - len(clip.speech()) / 16000) < 0.1
