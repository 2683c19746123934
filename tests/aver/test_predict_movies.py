"""From movies to predictions: real ones from end to end, and what is left of one without sound or without a face."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

pytest.importorskip("timm", reason="needs timm: pip install 'mrpnkit[av]'")
pytest.importorskip("av", reason="needs av: pip install 'mrpnkit[av]'")

from examples.aver.clips import EMOTIONS, SPEECH_RATE, Frames
from examples.aver.faces import FaceSettings
from examples.aver.paper.job import PaperJob, run_paper_job
from examples.aver.paper.options import Options, System, Weights
from examples.aver.paper.system import Shape, build_extractor
from examples.aver.predict import MoviePredictor
from examples.aver.predict_figure import draw_prediction
from examples.aver.predict_movies import predict_movie, predict_movies, settings_of
from examples.aver.preparation import MovieSettings, prepare_movie
from examples.aver.synthetic import SyntheticCorpus, write_movie
from mrpnkit.data import Corpus, CorpusWriter
from mrpnkit.errors import CorpusError, InputError, TrainingError
from tests.aver.paper_corpora import FPS, RATE, SIDE, SYSTEM, finished, tiny_job


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PaperJob:
    """A finished run of N2 on noise."""
    return finished(tmp_path_factory.mktemp("predict"))[0]


@pytest.fixture(scope="module")
def predictor(run: PaperJob) -> MoviePredictor:
    return MoviePredictor.open(run.folder, device="cpu")


def crops(seconds: float, fps: float = FPS) -> Frames:
    pixels = np.random.default_rng(2).integers(0, 256, (round(seconds * fps), SIDE, SIDE, 3), dtype=np.uint8)
    return Frames(pixels, fps)


def sound(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal(round(seconds * SPEECH_RATE)).astype(np.float32)


def known(values: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert values is not None
    return values


def test_a_clip_is_judged_as_it_was_in_the_test(run: PaperJob, predictor: MoviePredictor) -> None:
    """The evaluation ran whole batches through the whole network; here features are kept and judged again."""
    corpus = Corpus.open(run.corpus)
    with np.load(run.folder / "test.npz") as saved:
        for place, row in enumerate(saved["rows"].tolist()):
            frames = Frames(np.array(corpus.read("video", row)), FPS)
            found = predictor(frames, np.array(corpus.read("audio", row)))
            for head in ("fused", "video", "audio"):
                scores = torch.from_numpy(saved[f"scores/{head}/emotion"][place])
                np.testing.assert_allclose(known(found.heads[head]), torch.softmax(scores, 0).numpy(), atol=1e-5)
            assert found.answered_by == "fused"
            assert found.notes == ()


def test_a_window_is_judged_as_a_movie_of_its_length(predictor: MoviePredictor) -> None:
    """Sound is standardised over what is given, so frames alone can be compared exactly."""
    frames = crops(3.0)
    timeline = predictor(frames, None, window=1.0, hop=0.5).timeline
    assert timeline.seconds.tolist() == [[0.0, 1.0], [0.5, 1.5], [1.0, 2.0], [1.5, 2.5], [2.0, 3.0]]
    alone = predictor(Frames(frames.pixels[4:13], FPS), None)  # 0.5 to 1.5 s, both ends included
    np.testing.assert_allclose(timeline.heads["video"][1], known(alone.heads["video"]), atol=1e-5)
    whole = predictor(frames, sound(3.0), window=3.0)
    assert len(whole.timeline.seconds) == 1
    for head, values in whole.heads.items():
        np.testing.assert_allclose(whole.timeline.heads[head][0], known(values), atol=1e-5)
        assert known(values).sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("frames", "speech", "answered_by", "blind", "notes"),
    [
        (crops(2), None, "video", ["audio"], ("The movie has no sound.", "The video branch alone answers.")),
        (crops(2), sound(0), "video", ["audio"], ("The movie has no sound.", "The video branch alone answers.")),
        (None, sound(2), "audio", ["video"], ("The movie has no face.", "The audio branch alone answers.")),
        (crops(0), sound(0.3), "audio", ["video"], ("The movie has no face.", "The audio branch alone answers.")),
    ],
)
def test_what_is_left_answers(
    frames: Frames | None, speech: Any, answered_by: str, blind: list[str], notes: tuple[str, ...],
    predictor: MoviePredictor,
) -> None:  # fmt: skip
    found = predictor(frames, speech)
    assert found.answered_by == answered_by
    assert found.notes == notes
    assert [head for head, values in found.heads.items() if values is None] == blind
    assert found.emotion == found.classes[int(np.argmax(known(found.heads[answered_by])))]
    for head in blind:
        assert np.isnan(found.timeline.heads[head]).all()
    assert np.isfinite(found.timeline.heads[answered_by]).all()


def test_nothing_to_judge_by(predictor: MoviePredictor, tmp_path: Path) -> None:
    found = predictor(None, None, name="nothing.mp4")
    assert (found.emotion, found.answered_by, found.probabilities) == (None, None, None)
    assert found.notes[-1] == "Nothing is left to judge by."
    assert json.loads(found.json())["emotion"] is None
    assert draw_prediction(found, tmp_path / "nothing.png").stat().st_size > 1000


def test_n0_says_that_its_fusion_answers_with_zeros(run: PaperJob, tmp_path: Path) -> None:
    job = replace(run, out=tmp_path, network="n0")
    run_paper_job(job)
    found = MoviePredictor.open(job.folder, device="cpu")(crops(2), None)
    assert found.answered_by == "fused"
    assert list(found.heads) == ["fused"]
    assert "no head for one branch (N0)" in found.notes[-1]


def test_one_modality_reads_nothing_else(run: PaperJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(run, out=tmp_path, network="am")
    run_paper_job(job)
    predictor = MoviePredictor.open(job.folder, device="cpu")
    assert predictor(None, sound(2)).notes == ()
    assert predictor(crops(2), None).emotion is None
    movie = tmp_path / "a.mp4"
    write_movie(SyntheticCorpus(n_actors=1, takes=1, size=48, shortest=1.2, longest=1.2).clips()[0], movie)
    monkeypatch.setattr(
        "examples.aver.preparation.movie.reduce_movie", lambda *_, **__: pytest.fail("a face is searched")
    )
    (found,) = predict_movies(job.folder, [movie], Console(quiet=True))
    assert found.emotion is not None
    assert found.notes == ()


def test_record_and_picture(predictor: MoviePredictor, tmp_path: Path) -> None:
    frames, speech = crops(2), sound(2)
    found = predictor(frames, speech, name="a.mp4", window=1.0, hop=0.5)
    record = json.loads(found.json())
    assert record["movie"] == "a.mp4"
    assert list(record["heads"]) == ["fused", "video", "audio"]
    assert [window["begin"] for window in record["timeline"]] == [0.0, 0.5, 1.0]
    assert sum(record["timeline"][1]["heads"]["audio"].values()) == pytest.approx(1.0, abs=1e-3)
    drawn = draw_prediction(found, tmp_path / "deep" / "a.png", frames=frames, speech=speech)
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_frames_of_another_size_and_windows_that_are_too_short(predictor: MoviePredictor) -> None:
    with pytest.raises(InputError, match=r"Frames are \(16, 16, 3\); the run was trained on \(32, 32, 3\)"):
        predictor(Frames(np.zeros((9, 16, 16, 3), np.uint8), FPS), None)
    with pytest.raises(InputError, match="windows need a second or more"):
        predictor(crops(2), None, window=0.5)


def test_frozen_cnns_need_their_weights_again(run: PaperJob, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    shape, files = Shape(FPS, RATE, (SIDE, SIDE, 3), ("calm", "happy", "sad")), {}
    for name in ("video", "audio"):
        network = build_extractor(name, SYSTEM, Options(), shape).network
        files[name] = str(tmp_path / f"{name}.safetensors")
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, files[name])
    system = replace(SYSTEM, frozen=True, weights=Weights(**files))
    job = replace(run, out=tmp_path, system=system, options=Options(image="none"))
    run_paper_job(job)
    found = MoviePredictor.open(job.folder, device="cpu")
    corpus = Corpus.open(run.corpus)
    with np.load(job.folder / "test.npz") as saved:
        row = int(saved["rows"][0])
        judged = found(Frames(np.array(corpus.read("video", row)), FPS), np.array(corpus.read("audio", row)))
        scores = torch.softmax(torch.from_numpy(saved["scores/fused/emotion"][0]), 0).numpy()
    np.testing.assert_allclose(known(judged.heads["fused"]), scores, atol=1e-5)
    other = build_extractor("video", SYSTEM, Options(), shape).network
    save_file({key: value.contiguous() for key, value in other.state_dict().items()}, files["video"])
    from examples.aver.paper import options

    options._digest.cache_clear()
    with pytest.raises(InputError, match="are not those that it was trained"):
        MoviePredictor.open(job.folder)


def test_runs_on_landmarks_say_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text("{}")
    (tmp_path / "run.json").write_text(json.dumps({"network": "n2", "recipe": {}}))
    with pytest.raises(TrainingError, match="needs a run on pixels and sound, as `table 1` and `system` make them"):
        predict_movies(tmp_path, [tmp_path / "a.mp4"], Console())


def test_settings_are_those_of_the_corpus_where_it_tells_them(run: PaperJob, predictor: MoviePredictor) -> None:
    plain = settings_of(run.folder, predictor.shape)
    assert plain == MovieSettings(faces=FaceSettings(size=SIDE), rate=FPS)
    description = run.folder / "run.json"
    before = description.read_text()
    try:
        stored = asdict(MovieSettings(faces=FaceSettings(size=SIDE, margin=0.4), rate=FPS))
        description.write_text(json.dumps({**json.loads(before), "preparation": {"settings": stored}}))
        found = settings_of(run.folder, predictor.shape, "dlib_hog")
        assert found == MovieSettings(faces=FaceSettings(size=SIDE, margin=0.4, detector="dlib_hog"), rate=FPS)
        description.write_text(json.dumps({**json.loads(before), "preparation": {"settings": {"rate": 3.0}}}))
        with pytest.raises(CorpusError, match="does not say how its movies were prepared"):
            settings_of(run.folder, predictor.shape)
    finally:
        description.write_text(before)


def test_drawn_movies_and_what_cannot_be_opened(run: PaperJob, tmp_path: Path) -> None:
    """Faces fill the drawn movies, so no detector is needed; one has no sound, one is no movie."""
    clips = SyntheticCorpus(n_actors=1, takes=1, size=48, shortest=1.2, longest=1.2).clips()[:2]
    loud, silent, broken = (tmp_path / name for name in ("loud.mp4", "silent.mp4", "broken.mp4"))
    write_movie(clips[0], loud)
    write_movie(clips[1], silent, sound=False)
    broken.write_bytes(b"no movie")
    console = Console(record=True, width=120)
    found = predict_movies(
        run.folder, [loud, broken, silent], console, out=tmp_path / "out", window=1.0, hop=0.5, detector="none"
    )
    assert [(p.name, p.answered_by) for p in found] == [("loud.mp4", "fused"), ("silent.mp4", "video")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "loud.json",
        "loud.png",
        "silent.json",
        "silent.png",
    }
    text = console.export_text()
    assert "Left out: The movie" in text
    assert "(video alone)" in text
    assert any(note.startswith("no sound") for note in found[1].notes)
    with pytest.raises(CorpusError, match=r"^The movie .*broken\.mp4 cannot be opened"):
        predict_movies(run.folder, [broken], Console(quiet=True), detector="none")


@pytest.mark.data
def test_from_six_movies_to_predictions(shared_data: Path, tmp_path: Path) -> None:
    """A second of each movie is prepared, four are trained on, and then longer pieces are judged.

    All six are of one actor, so each movie is made an actor of its own: what is tested is the way, not the accuracy.
    They are put in an order in which every fold trains on both emotions.
    """
    movies = sorted((shared_data / "ravdess_mp4" / "Actor_01").glob("*.mp4"))
    assert len(movies) == 6
    movies = [movies[place] for place in (3, 0, 1, 2, 4, 5)]
    settings = MovieSettings(faces=FaceSettings(size=SIDE, detector="dlib_hog"), rate=6.0)
    rates = {"video": settings.rate, "audio": float(settings.sound_rate)}
    classes = {"emotion": [EMOTIONS[0], EMOTIONS[7]]}
    with CorpusWriter(tmp_path / "corpus", classes=classes, rates=rates, about={"source": "six movies"}) as writer:
        for place, path in enumerate(movies):
            modality, emotion = path.name[:2], EMOTIONS[int(path.name[6:8]) - 1]
            read = ("video", "audio") if modality == "01" else ("video",)
            movie = prepare_movie(path, settings, modalities=read, start=1.0, end=2.2)
            assert movie.video.shape == (7, SIDE, SIDE, 3)
            assert len(movie.audio) == (19200 if modality == "01" else 0)
            groups = {"actor": str(place), "sex": "male"}
            writer.add(path.stem, {"video": movie.video, "audio": movie.audio}, {"emotion": emotion}, groups)
    system = System(cnn="test_resnet", features=8, bands=32, hop=640, precision="float32", channels_last=False)
    job = replace(tiny_job(tmp_path / "corpus", tmp_path / "runs", system=system), fold=2, folds=4)
    job = replace(job, schedule=replace(job.schedule, epochs=2, batch_size=2))
    result = run_paper_job(job)
    assert np.isfinite(result["metrics"]["loss"])
    lines = (job.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]
    predictor = MoviePredictor.open(job.folder, device="cpu")
    both, _ = predict_movie(predictor, movies[0], settings_of(job.folder, predictor.shape), start=0.5, end=2.5)
    assert both.answered_by == "fused"
    assert {head for head, values in both.heads.items() if values is not None} == {"fused", "video", "audio"}
    assert both.timeline.seconds[-1, 1] == pytest.approx(2.0, abs=0.1)
    silent, _ = predict_movie(
        predictor, movies[5], settings_of(job.folder, predictor.shape, "dlib_hog"), start=1.0, end=2.5
    )
    assert movies[5].name.startswith("02-")
    assert silent.answered_by == "video"
    assert "The video branch alone answers." in silent.notes
