"""The embedded corpus: what it makes, that it can be made again, and that modalities say what they were told to."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from examples.aver.clips import EMOTIONS, Clip
from examples.aver.landmarks import LandmarkFeatures
from examples.aver.prosody import Prosody
from examples.aver.speech import LogMel, SpeechFeatures
from examples.aver.synthetic import Evidence, SyntheticCorpus, contact_sheet, one_of_each, write_movie
from examples.aver.synthetic.drawing import appearance, draw
from examples.aver.synthetic.face import CONTROLS, FaceTrack, Geometry, Pose, act, geometry, look, place, shape
from examples.aver.synthetic.voice import speak, speaker
from mrpnkit.errors import CorpusError, InputError


def by_id(corpus: SyntheticCorpus) -> dict[str, Clip]:
    return {clip.id: clip for clip in corpus.clips()}


@pytest.fixture(scope="module")
def small() -> list[Clip]:
    return SyntheticCorpus(n_actors=2, takes=1, size=96, shortest=0.6, longest=0.8).clips()


def test_the_default_corpus() -> None:
    clips = SyntheticCorpus().clips()
    assert len(clips) == len({clip.id for clip in clips}) == 480
    assert {emotion: sum(clip.emotion == emotion for clip in clips) for emotion in EMOTIONS} == dict.fromkeys(
        EMOTIONS, 60
    )
    assert {clip.actor: clip.sex for clip in clips} == {
        str(actor): "male" if actor % 2 else "female" for actor in range(1, 13)
    }
    for clip in clips[::37]:
        points, fps = clip.landmarks()
        speech = clip.speech()
        assert fps == 25.0
        assert 30 <= len(points) <= 50
        assert len(speech) == len(points) * 640  # both last equally long: 16,000 samples are 25 frames
        assert points.dtype == speech.dtype == np.float32
        assert 0.005 < speech.std() < 0.5
        assert np.abs(speech).max() < 1.5
        assert points.min() > 0
        assert points.max() < 160


def test_every_clip_can_be_made_again_alone() -> None:
    large, little = by_id(SyntheticCorpus(seed=3)), by_id(SyntheticCorpus(seed=3, n_actors=2, takes=1))
    other = by_id(SyntheticCorpus(seed=4, n_actors=2, takes=1))
    for name in ("a01-angry-1", "a02-calm-1"):
        again: Clip = pickle.loads(pickle.dumps(little[name]))
        np.testing.assert_array_equal(again.landmarks().points, large[name].landmarks().points)
        np.testing.assert_array_equal(again.speech(), large[name].speech())
        assert not np.array_equal(other[name].speech()[:9000], large[name].speech()[:9000])


def test_one_modality_never_knows_what_the_other_shows() -> None:
    plain = by_id(SyntheticCorpus(n_actors=1, takes=1))
    spoilt = by_id(
        SyntheticCorpus(n_actors=1, takes=1, evidence=Evidence(misleading={"audio": dict.fromkeys(EMOTIONS, 1.0)}))
    )
    for name in ("a01-happy-1", "a01-sad-1"):
        np.testing.assert_array_equal(plain[name].landmarks().points, spoilt[name].landmarks().points)
        assert not np.array_equal(plain[name].speech(), spoilt[name].speech())
        assert len(plain[name].speech()) == len(spoilt[name].speech())
        assert spoilt[name].attributes["video_shows"] == spoilt[name].emotion != spoilt[name].attributes["audio_shows"]


def test_shares_of_misleading_and_uninformative_clips() -> None:
    evidence = Evidence(
        misleading={"video": {"happy": 0.3}}, uninformative={"video": {"happy": 0.5}, "audio": {4: 1.0}}
    )
    clips = SyntheticCorpus(n_actors=20, takes=50, evidence=evidence).clips()
    happy = [clip.attributes["video_shows"] for clip in clips if clip.emotion == "happy"]
    assert len(happy) == 1000
    spread = 4 * np.sqrt(0.25 / 1000)  # four standard deviations of a share
    assert happy.count("none") / 1000 == pytest.approx(0.5, abs=spread)
    assert happy.count("happy") / 1000 == pytest.approx(0.2, abs=spread)
    shown = [happy.count(emotion) / 1000 for emotion in EMOTIONS if emotion != "happy"]
    np.testing.assert_allclose(shown, 0.3 / 7, atol=4 * np.sqrt(0.043 * 0.957 / 1000))
    assert {clip.attributes["audio_shows"] for clip in clips if clip.emotion == "angry"} == {"none"}
    rest = [clip for clip in clips if clip.emotion not in ("happy", "angry")]
    assert all(clip.attributes["video_shows"] == clip.attributes["audio_shows"] == clip.emotion for clip in rest)


def test_classes_that_only_one_modality_tells_apart() -> None:
    evidence = Evidence(shared={"video": [("neutral", "calm")], "audio": [("angry", "disgust", "happy")]})
    clips = SyntheticCorpus(n_actors=1, takes=1, evidence=evidence).clips()
    shows = {clip.emotion: (clip.attributes["video_shows"], clip.attributes["audio_shows"]) for clip in clips}
    assert shows["calm"] == ("neutral", "calm")
    assert shows["happy"] == ("happy", "angry")
    assert shows["disgust"] == ("disgust", "angry")
    assert shows["sad"] == ("sad", "sad")


def test_what_fades_is_as_neutral() -> None:
    face, voice = geometry(np.random.default_rng(0), sex="male"), speaker(np.random.default_rng(0), sex="male")

    def face_of(emotion: str, strength: float) -> np.ndarray:
        rng = np.random.default_rng(1)
        return act(rng, face, emotion=emotion, strength=strength, frames=30, fps=25.0, size=160).points

    def voice_of(emotion: str, strength: float) -> np.ndarray:
        return speak(np.random.default_rng(1), voice, emotion=emotion, strength=strength, seconds=1.0)

    np.testing.assert_allclose(face_of("angry", 0.0), face_of("neutral", 1.0), atol=1e-9)
    np.testing.assert_allclose(voice_of("angry", 0.0), voice_of("neutral", 1.0), atol=1e-9)
    assert np.abs(face_of("angry", 1.0) - face_of("neutral", 1.0)).max() > 1
    assert not np.allclose(voice_of("angry", 1.0), voice_of("neutral", 1.0))


def test_noise_has_the_size_asked_for() -> None:
    plain, noisy = (
        SyntheticCorpus(n_actors=1, takes=1, noise=noise).clips()[2] for noise in ({}, {"video": 0.1, "audio": 0.5})
    )
    hiss = noisy.speech() - plain.speech()
    assert hiss.std() == pytest.approx(0.5 * np.sqrt((plain.speech() ** 2).mean()), rel=0.05)
    eyes = plain.landmarks().points[:, 42:48].mean(1) - plain.landmarks().points[:, 36:42].mean(1)
    unit = np.linalg.norm(eyes, axis=1).mean()
    shaken = (noisy.landmarks().points - plain.landmarks().points).std() / unit
    assert shaken == pytest.approx(np.hypot(0.1, 0.008) - 0.008, rel=0.1)


def still(emotion: str) -> tuple[Geometry, np.ndarray, np.ndarray]:
    face = geometry(np.random.default_rng(5), sex="female")
    return face, look(emotion)[None], shape(look(emotion)[None], face)[0]


def test_expressions_move_the_face_as_they_should() -> None:
    faces = {emotion: still(emotion)[2] for emotion in EMOTIONS}

    def gap(emotion: str, over: int, under: int) -> float:
        return float(faces[emotion][under, 1] - faces[emotion][over, 1])

    assert gap("surprised", 62, 66) > gap("happy", 62, 66) > gap("neutral", 62, 66)
    assert gap("fearful", 37, 41) > gap("neutral", 37, 41) > gap("disgust", 37, 41)
    corners = {emotion: float(points[[48, 54], 1].mean()) for emotion, points in faces.items()}
    assert corners["happy"] < corners["neutral"] < corners["sad"]
    between = {emotion: float(points[22, 0] - points[21, 0]) for emotion, points in faces.items()}
    assert between["angry"] < between["neutral"]
    assert faces["surprised"][21, 1] < faces["neutral"][21, 1] < faces["angry"][21, 1]
    for points in faces.values():  # a face at rest is symmetrical in every expression
        np.testing.assert_allclose(points[[48, 36, 17, 0]] * [-1, 1], points[[54, 45, 26, 16]], atol=1e-12)


@pytest.mark.parametrize("value", [-3.0, 0.0, 3.0])
def test_lids_and_lips_never_pass_each_other(value: float) -> None:
    face = geometry(np.random.default_rng(6), sex="male")
    for control in range(len(CONTROLS)):
        points = shape(value * np.eye(len(CONTROLS))[control : control + 1], face)[0]
        for over, under in ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65)):
            assert points[under, 1] - points[over, 1] > 0.005


def test_pitch_and_energy_carry_the_emotion() -> None:
    voice = speaker(np.random.default_rng(7), sex="female")

    def average(emotion: str) -> np.ndarray:
        tracks = []
        for seed in range(6):
            wave = speak(np.random.default_rng(seed), voice, emotion=emotion, strength=1.0, seconds=1.5)
            channels = Prosody()(wave)
            voiced = channels[:, 3] > 0
            assert voiced.mean() > 0.3
            tracks.append([channels[voiced, 4].mean(), np.log((wave**2).mean())])
        return np.asarray(np.mean(tracks, 0))

    sad, happy, angry = average("sad"), average("happy"), average("angry")
    assert happy[0] - sad[0] > 0.1  # two semitones are 0.12
    assert angry[1] - sad[1] > 1.5  # 6.5 dB


def test_pitch_is_the_speakers() -> None:
    for sex, expected in (("male", 115), ("female", 205)):
        voice = speaker(np.random.default_rng(8), sex=sex)
        assert 0.7 * expected < voice.pitch < 1.4 * expected
        waves = [speak(np.random.default_rng(s), voice, emotion="neutral", strength=1.0, seconds=1.5) for s in range(4)]
        tracks = np.concatenate([Prosody()(wave) for wave in waves])
        measured = 180 * np.exp(np.median(tracks[tracks[:, 3] > 0, 4]))
        assert measured == pytest.approx(voice.pitch * 2 ** (voice.habit.pitch / 12), rel=0.15)


def test_either_modality_tells_the_class_and_both_tell_more() -> None:
    """Linear discriminants on averages over the clip, actors never seen: far above chance, far below certainty."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    clips = SyntheticCorpus(n_actors=8, takes=2).clips()
    video = LandmarkFeatures(blocks=("shape", "head"))
    audio = SpeechFeatures(blocks=("log_mel", "prosody"), mel=LogMel(level="kept", n_mels=24))

    def averages(frames: np.ndarray) -> np.ndarray:
        return np.asarray(np.concatenate([frames.mean(0), frames.std(0)]))

    described = {
        "video": np.stack([averages(video(*clip.landmarks())) for clip in clips]),
        "audio": np.stack([averages(audio(clip.speech())) for clip in clips]),
    }
    described["both"] = np.concatenate(list(described.values()), axis=1)
    labels, actors = np.array([clip.label for clip in clips]), np.array([int(clip.actor) for clip in clips])
    accuracy = {}
    for name, samples in described.items():
        hits = []
        for fold in range(4):
            test = (actors - 1) // 2 == fold
            scaled = (samples - samples[~test].mean(0)) / (samples[~test].std(0) + 1e-6)
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(scaled[~test], labels[~test])
            hits.append(model.score(scaled[test], labels[test]))
        accuracy[name] = np.mean(hits)
    assert 0.4 < accuracy["video"] < 0.85
    assert 0.4 < accuracy["audio"] < 0.85
    assert accuracy["both"] > max(accuracy["video"], accuracy["audio"]) + 0.03


def test_pictures_have_eyes_skin_and_wall_where_they_belong() -> None:
    face, controls, points = still("neutral")
    zero = np.zeros(1)
    pose = Pose(np.array([[80.0, 72.0]]), np.array([36.0]), zero, zero, zero)
    track = FaceTrack(place(points[None], pose, face.depth), controls, pose)
    looks = appearance(np.random.default_rng(9), sex="male")
    picture = draw(track, looks, size=160)
    assert picture.shape == (1, 160, 160, 3)
    assert picture.dtype == np.uint8

    def at(x: float, y: float) -> np.ndarray:
        return np.asarray(picture[0, round(72 + 36 * y), round(80 + 36 * x)], dtype=float)

    for side in (-0.5, 0.5):
        assert at(side, 0.0).max() < 80  # pupils
    assert np.abs(at(0.3, 0.85) / at(0.3, 0.85).sum() - np.array(looks.skin) / sum(looks.skin)).max() < 0.03
    assert np.abs(picture[0, 4, 4].astype(float) - np.array(looks.wall) * 1.04).max() < 8
    opened = FaceTrack(place(shape(look("surprised")[None], face), pose, face.depth), look("surprised")[None], pose)
    changed = np.abs(draw(opened, looks, size=160)[0].astype(float) - picture[0]).mean(-1)
    assert changed[100:140, 60:100].mean() > 5 * changed[:20].mean()  # the mouth moved, the wall did not


def test_a_movie_holds_the_frames_and_the_sound(small: list[Clip], tmp_path: Path) -> None:
    import av

    path = tmp_path / "clip.mp4"
    write_movie(small[2], path)
    pixels, fps = small[2].frames()
    with av.open(str(path)) as movie:
        video, audio = movie.streams.video[0], movie.streams.audio[0]
        assert video.average_rate == fps
        assert audio.rate == 16000
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in movie.decode(video)])
    assert decoded.shape == pixels.shape
    assert np.abs(decoded.astype(float) - pixels).mean() < 4
    with av.open(str(path)) as movie:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in movie.decode(audio=0)])
    speech = small[2].speech()
    assert abs(len(sound) - len(speech)) <= 2 * 1024  # AAC works in blocks of 1024
    assert np.sqrt((sound**2).mean()) == pytest.approx(np.sqrt((speech**2).mean()), rel=0.1)
    assert list(tmp_path.iterdir()) == [path]

    write_movie(small[3], tmp_path / "silent.mp4", sound=False)
    with av.open(str(tmp_path / "silent.mp4")) as movie:
        assert not movie.streams.audio


def test_contact_sheet(small: list[Clip]) -> None:
    chosen = one_of_each(small, actor="2")
    assert [clip.emotion for clip in chosen] == list(EMOTIONS)
    sheet = contact_sheet(chosen[:2], columns=3)
    assert sheet.shape == (192, 288, 3)
    pixels = chosen[1].frames().pixels
    np.testing.assert_array_equal(sheet[96:, :96], pixels[0])
    np.testing.assert_array_equal(sheet[96:, 192:], pixels[-1])


def test_what_is_refused(small: list[Clip], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0 actors, 5 takes, seed 0; expected one actor"):
        SyntheticCorpus(n_actors=0)
    with pytest.raises(InputError, match=r"clips of 3.0 to 2.0 s"):
        SyntheticCorpus(shortest=3.0)
    with pytest.raises(InputError, match=r"noise of 1.0 for 'text'; expected 0 or more for video or audio"):
        SyntheticCorpus(noise={"text": 1.0})
    with pytest.raises(InputError, match=r"misleading names the modality 'face'; expected video or audio"):
        Evidence(misleading={"face": {"happy": 0.5}})
    with pytest.raises(InputError, match=r"uninformative names the class 'joy'; expected a label from 0 to 7"):
        Evidence(uninformative={"audio": {"joy": 0.5}})
    with pytest.raises(InputError, match=r"of the audio of 'sad', a share of 0.7 is misleading and 0.6 uninformative"):
        Evidence(misleading={"audio": {"sad": 0.7}}, uninformative={"audio": {3: 0.6}})
    with pytest.raises(InputError, match=r"share their video name 'calm', which is in two of them"):
        Evidence(shared={"video": [("neutral", "calm"), ("calm", "sad")]})
    with pytest.raises(InputError, match=r"name 'bored', which is no emotion"):
        Evidence(shared={"video": [("neutral", "bored")]})
    with pytest.raises(InputError, match=r"clip\.avi; expected a name that ends in \.mp4"):
        write_movie(small[0], tmp_path / "clip.avi")
    with pytest.raises(InputError, match=r"A sheet of 0 clips cannot be made"):
        contact_sheet([])
    with pytest.raises(InputError, match=r"Actor '9' has no clip of neutral, calm"):
        one_of_each(small, actor="9")
    mute = Clip(id="x", actor="1", sex="male", emotion="sad", read_speech=small[0].read_speech)
    with pytest.raises(CorpusError, match=r"'x' has no pictures; its corpus holds audio only"):
        write_movie(mute, tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())
