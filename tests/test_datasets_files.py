"""Data sets of files and of the package datasets, in memory and written as they are read."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpnkit.data import Corpus
from mrpnkit.data.datasets import DATASETS, FileModality, prepare
from mrpnkit.errors import CorpusError, InputError

RNG = np.random.default_rng(0)
NAMES = ("s1", "s2", "s10")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three samples: arrays for all, sound for two, pictures for two, and their table."""
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile: pip install 'mrpnkit[av]'")
    image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install 'mrpnkit[av]'")
    root = tmp_path / "data"
    for part in ("pose", "voice", "face/s1", "face/s10"):
        (root / part).mkdir(parents=True)
    for count, name in enumerate(NAMES, start=1):
        np.save(root / "pose" / f"{name}.npy", np.full((count, 2), count, dtype=np.float32))
    soundfile.write(root / "voice/s1.wav", np.array([[0.5, -0.5], [0.5, 0.0]]), 8000, subtype="FLOAT")
    soundfile.write(root / "voice/s2.flac", np.zeros(5), 8000)
    for name, frames in (("s1", ("f9", "f10")), ("s10", ("f1",))):
        for value, frame in enumerate(frames):
            image.fromarray(np.full((4, 6, 3), 10 * value, dtype=np.uint8)).save(root / "face" / name / f"{frame}.png")
    (root / "clips.csv").write_text("id,emotion,actor\ns10,sad,a\ns1,calm,a\ns2,sad,b\n")
    return tmp_path


MODALITIES: dict[str, Any] = {
    "pose": {"files": "pose/{id}.npy", "rate": 25.0},
    "voice": FileModality(files="voice/{id}.*"),
    "face": {"files": "face/{id}/*.png"},
}


def files(**options: Any) -> Any:
    chosen = {
        "path": "data",
        "modalities": MODALITIES,
        "table": "clips.csv",
        "targets": ["emotion"],
        "groups": ["actor"],
    }
    return DATASETS["files"](**{**chosen, **options})


def check(corpus: Corpus) -> None:
    assert corpus.ids == ["s10", "s1", "s2"]
    assert corpus.targets["emotion"].tolist() == [1, 0, 1]
    assert corpus.classes == {"emotion": ["calm", "sad"]}
    assert corpus.groups["actor"].tolist() == ["a", "a", "b"]
    lengths = {name: modality.lengths.tolist() for name, modality in corpus.modalities.items()}
    assert lengths == {"pose": [3, 1, 2], "voice": [0, 2, 5], "face": [1, 2, 0]}
    assert [corpus.modalities[name].rate for name in lengths] == [25.0, 8000.0, None]
    np.testing.assert_array_equal(corpus.read("pose", 0), np.full((3, 2), 3))
    np.testing.assert_array_equal(corpus.read("voice", 1), np.array([[0.0], [0.25]]))  # mean of the channels
    assert corpus.read("face", 1).shape == (2, 4, 6, 3)
    assert corpus.read("face", 1)[:, 0, 0, 0].tolist() == [0, 10]  # f9 before f10
    assert corpus.modalities["face"].steps.dtype == np.uint8


def test_files_in_memory_and_on_disk_are_one_corpus(folder: Path) -> None:
    check(files().load(folder))
    check(prepare(files(), folder, folder / "ready"))
    check(DATASETS["corpus"](path="ready").load(folder))


def test_without_a_table_all_files_are_samples(folder: Path) -> None:
    corpus = files(table=None, targets=[], groups=[], modalities={"pose": MODALITIES["pose"]}).load(folder)
    assert corpus.ids == ["s1", "s2", "s10"]
    assert corpus.targets == {}


def test_pictures_are_resized_and_grey(folder: Path) -> None:
    face = {"files": "face/{id}/f*.png", "size": [2, 3], "colour": "grey"}
    corpus = files(modalities={"pose": MODALITIES["pose"], "face": face}).load(folder)
    assert corpus.read("face", 1).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"path": "dat"}, r"There is no folder 'dat'.*Did you mean 'data'\?"),
        ({"table": "clip.csv"}, r"There is no table 'clip.csv'.*Did you mean 'clips.csv'"),
        ({"targets": ["emotoin"]}, "has no column 'emotoin'.*'emotion'"),
        (
            {"modalities": {"pose": {"files": "poses/{id}.npy"}}},
            "no file matches 'poses/{id}.npy' for 'pose'.*has .*'pose'",
        ),
        ({"modalities": {"pose": {"files": "pose/*.npy"}}}, "must be a path below the folder with {id} once"),
        ({"modalities": {"pose": {"files": "../{id}.npy"}}}, "must be a path below the folder"),
        ({"modalities": {"table": {"files": "{id}.csv"}}}, "clips.csv of 'table' is of no kind that can be read"),
        ({"modalities": {"pose": {"files": "pose/{id}.npy", "size": [0, 1]}}}, "size must be a height and a width"),
        (
            {"modalities": {"voice": {"files": "voice/{id}.wav", "rate": 16000.0}}},
            "has 8000 samples a second; .* is 16000",
        ),
        (
            {"modalities": {"voice": MODALITIES["voice"]}},
            "1 samples have none of the modalities 'voice', the first is 's10'",
        ),
        ({"table": None}, r"The columns 'emotion', 'actor' stand in a table of samples; say which"),
    ],
)
def test_what_does_not_fit(folder: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises((CorpusError, InputError), match=text):
        files(**options).load(folder)


def test_files_that_do_not_fit(folder: Path) -> None:
    root = folder / "data"
    np.save(root / "pose/s3.npy", np.zeros((1, 2)))
    with pytest.raises(CorpusError, match=r"1 ids of 'pose' are not in clips.csv, the first is 's3'"):
        files().load(folder)
    check(files(unlisted="skip").load(folder))
    (root / "pose/s3.npy").unlink()
    np.savez(root / "pose/s2.npz", a=np.zeros((1, 2)))
    with pytest.raises(CorpusError, match=r"'pose' of sample 's2' has 2 files: 'pose/s2.npy', 'pose/s2.npz'"):
        files(modalities={"pose": {"files": "pose/{id}.np*"}}).load(folder)
    np.save(root / "pose/s2.npy", np.array([[0, 1], [np.nan, 2]]))
    for load in (lambda: files().load(folder), lambda: prepare(files(), folder, folder / "broken")):
        with pytest.raises(InputError, match="'pose' of sample 's2' has NaN or infinity at step 1"):
            load()
    assert not (folder / "broken").exists()
    np.save(root / "pose/s2.npy", np.zeros((2, 3), dtype=np.float32))
    with pytest.raises(InputError, match=r"'pose' of sample 's2' has steps of float32 \(3,\); those of 's10' are"):
        files().load(folder)
    np.save(root / "pose/s2.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CorpusError, match=r"pose/s2.npy cannot be read as an array"):
        files().load(folder)
    (root / "voice/s2.flac").write_bytes(b"nothing")
    with pytest.raises(CorpusError, match=r"voice/s2.flac cannot be read as sound"):
        files(modalities={"voice": MODALITIES["voice"]}, table=None, targets=[], groups=[]).load(folder)


def test_signals_of_different_length_are_sequences(tmp_path: Path) -> None:
    (tmp_path / "heart").mkdir()
    signals = {"s1": np.arange(5.0), "s2": np.arange(3.0) + 10}
    for name, signal in signals.items():
        np.save(tmp_path / "heart" / f"{name}.npy", signal)
    told = r"'heart' of sample 's2' has steps of float32 \(3,\); those of 's1' are float32 \(5,\).*kind = \"sequence\""
    source = DATASETS["files"](path=".", modalities={"heart": {"files": "heart/{id}.npy"}})
    with pytest.raises(InputError, match=told):
        source.load(tmp_path)
    with pytest.raises(InputError, match=told):
        prepare(source, tmp_path, tmp_path / "ready")
    modality = FileModality(files="heart/{id}.npy", kind="sequence")
    corpus = DATASETS["files"](path=".", modalities={"heart": modality}).load(tmp_path)
    for row, signal in enumerate(signals.values()):
        np.testing.assert_array_equal(corpus.read("heart", row), signal[:, None])
    np.save(tmp_path / "heart" / "s2.npy", np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"must have one shape and type\.$"):
        source.load(tmp_path)


def test_the_named_array_of_archives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", x=np.ones(3), y=np.zeros((2, 2)))
    source = {"path": ".", "modalities": {"m": {"files": "{id}.npz", "array": "x"}}}
    assert DATASETS["files"](**source).load(tmp_path).modalities["m"].steps.shape == (2, 3)
    with pytest.raises(CorpusError, match=r"a.npz has the arrays 'x', 'y'; say which"):
        DATASETS["files"](path=".", modalities={"m": {"files": "{id}.npz"}}).load(tmp_path)


def test_real_speech_files(shared_data: Path) -> None:
    source = DATASETS["files"](
        path="ravdess", table="clips.csv", targets=["emotion"], groups=["actor"],
        modalities={"audio": {"files": "audio/{id}.flac"}},
    )  # fmt: skip
    stream = source.stream(shared_data)
    first = next(stream.samples())["audio"]
    assert first is not None
    assert (len(stream.table.ids), first.rate, first.steps.shape[1]) == (1200, 16000.0, 1)


@pytest.fixture
def rows(folder: Path) -> Any:
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install 'mrpnkit[hub]'")
    datasets.disable_progress_bars()
    root = folder / "data"
    features = datasets.Features(
        {
            "name": datasets.Value("string"),
            "emotion": datasets.ClassLabel(names=["sad", "calm"]),
            "actor": datasets.Value("string"),
            "vector": datasets.List(datasets.Value("float32")),
            "tokens": datasets.List(datasets.Value("int64")),
            "steps": datasets.List(datasets.List(datasets.Value("float32"))),
            "picture": datasets.Image(),
            "voice": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "text": datasets.Value("string"),
        }
    )
    picture, sound = (root / "face/s1/f10.png").read_bytes(), (root / "voice/s1.wav").read_bytes()
    table = {
        "name": ["x", "y", "z"],
        "emotion": [0, 1, None],
        "actor": ["a", "b", "b"],
        "vector": [[1, 2], [3, 4], [5, 6]],
        "tokens": [[7, 8, 9], [1], None],
        "steps": [None, [[1, 2], [3, 4]], [[5, 6]]],
        "picture": [{"bytes": picture, "path": None}, None, {"bytes": picture, "path": None}],
        "voice": [{"bytes": sound, "path": None}, {"bytes": sound, "path": None}, None],
        "text": ["a", "b", "c"],
    }
    plain = datasets.Dataset.from_dict(table, features=features)
    return plain.cast_column("voice", datasets.Audio())  # making one of sounds would need torchcodec


def hugging(path: str, **options: Any) -> Any:
    modalities = {
        "vector": {"column": "vector"},
        "tokens": {"column": "tokens", "kind": "sequence"},
        "steps": {"column": "steps", "rate": 5.0},
        "picture": {"column": "picture"},
        "voice": {"column": "voice"},
    }
    chosen = {"path": path, "modalities": modalities, "targets": ["emotion"], "groups": ["actor"], "id": "name"}
    return DATASETS["huggingface"](**{**chosen, **options})


def check_rows(corpus: Corpus) -> None:
    assert corpus.ids == ["x", "y", "z"]
    assert corpus.classes == {"emotion": ["sad", "calm"]}
    assert corpus.targets["emotion"].tolist() == [0, 1, -1]
    lengths = {name: modality.lengths.tolist() for name, modality in corpus.modalities.items()}
    expected = {"vector": [1, 1, 1], "tokens": [3, 1, 0], "steps": [0, 2, 1], "picture": [1, 0, 1], "voice": [2, 2, 0]}
    assert lengths == expected
    assert corpus.read("tokens", 0).tolist() == [[7], [8], [9]]
    assert corpus.read("steps", 1).tolist() == [[1, 2], [3, 4]]
    assert corpus.read("picture", 2).shape == (1, 4, 6, 3)
    assert corpus.read("voice", 0).tolist() == [[0.0], [0.25]]
    assert (corpus.modalities["voice"].rate, corpus.modalities["steps"].rate) == (8000.0, 5.0)


def test_a_saved_folder_and_a_file(folder: Path, rows: Any) -> None:
    import datasets

    rows.save_to_disk(folder / "saved")
    check_rows(hugging("saved").load(folder))
    datasets.DatasetDict(train=rows, test=rows.select([0])).save_to_disk(folder / "both")
    check_rows(hugging("both").load(folder))
    with pytest.raises(CorpusError, match=r"has no split 'trian'. Did you mean 'train'"):
        hugging("both", split="trian").load(folder)
    rows.to_parquet(folder / "rows-0.parquet")
    check_rows(hugging("rows-*.parquet").load(folder))
    check_rows(prepare(hugging("rows-0.parquet"), folder, folder / "ready"))


def test_json_lines_without_declared_types(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs datasets: pip install 'mrpnkit[hub]'")
    (tmp_path / "d.jsonl").write_text(
        '{"v": [1.5, 2], "label": "b", "age": 3}\n{"v": [0, 1], "label": "a", "age": null}\n'
    )
    source = DATASETS["huggingface"](
        path="d.jsonl", modalities={"v": {"column": "v"}}, targets=["label"], values=["age"]
    )
    corpus = source.load(tmp_path)
    assert (corpus.ids, corpus.classes, corpus.targets["label"].tolist()) == (["0", "1"], {"label": ["a", "b"]}, [1, 0])
    np.testing.assert_array_equal(corpus.targets["age"], np.array([3, np.nan], dtype=np.float32))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"path": "rowz.parquet"}, r"There is no data 'rowz.parquet'.*Did you mean 'rows.parquet'"),
        ({"targets": ["emotoin"]}, "has no column 'emotoin'. Did you mean 'emotion'"),
        ({"modalities": {"m": {"column": "vektor"}}}, "has no column 'vektor'. Did you mean 'vector'"),
        ({"modalities": {"m": {"column": "text"}}}, "'m' of sample 'x' is of type str; expected lists of numbers"),
        ({"modalities": {"m": {"colunm": "text"}}}, "modalities.m has no key 'colunm'. Did you mean 'column'"),
        ({"repository": "owner/name"}, "Give either path, for local data, or repository"),
        ({"id": "actor"}, "1 ids stand more than once, the first is 'b'"),
        ({"path": "data"}, "data cannot be read by datasets"),
    ],
)
def test_rows_that_do_not_fit(folder: Path, rows: Any, options: dict[str, Any], text: str) -> None:
    rows.to_parquet(folder / "rows.parquet")
    with pytest.raises((CorpusError, InputError), match=text):
        hugging(options.pop("path", "rows.parquet"), **options).load(folder)


def test_without_its_package_a_source_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").touch()
    program = f"""
import sys
from pathlib import Path
sys.modules.update(dict.fromkeys(["pyarrow", "datasets"]))
from mrpnkit.errors import DependencyError
from mrpnkit.data.datasets import DATASETS
for name, modality in (("parquet", {{}}), ("huggingface", {{"column": "x"}})):
    try:
        DATASETS[name](path="x.parquet", modalities={{"m": modality}}).load(Path({str(tmp_path)!r}))
    except DependencyError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [line.split(". ")[0] for line in done.stdout.splitlines()] == [
        "The data set 'parquet' needs the package 'pyarrow'",
        "The data set 'huggingface' needs the package 'datasets'",
    ]
    assert done.stdout.count("pip install 'mrpnkit[hub]'") == 2
