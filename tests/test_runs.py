"""A run's folder: one configuration and one corpus, told apart from all others."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mrpnkit.config import parse_config
from mrpnkit.data import Corpus
from mrpnkit.errors import RunError
from mrpnkit.records import read_json, write_json
from mrpnkit.runs import RUN, Run, claim, corpus_of, differences, identity_of, outline_of
from tests.small_runs import CONFIG, small_corpus


@pytest.fixture
def claimed(tmp_path: Path) -> Path:
    claim(tmp_path / "run", parse_config(CONFIG), small_corpus(), base=tmp_path)
    return tmp_path / "run"


def begun(folder: Path) -> Path:
    """The same run after its first epoch."""
    (folder / "fold-01").mkdir()
    (folder / "fold-01" / "state.pt").write_bytes(b"weights")
    return folder


def test_a_run_is_read_back(claimed: Path) -> None:
    run = Run.open(claimed)
    assert run.config == parse_config(CONFIG)
    assert run.base.resolve() == claimed.parent
    assert (run.finished(), run.fold_folder(3).name) == ({}, "fold-03")
    assert run.versions["torch"]
    assert run.identity == identity_of(small_corpus())


def test_a_run_names_no_absolute_path(claimed: Path) -> None:
    assert str(claimed.parent) not in (claimed / RUN).read_text(encoding="utf-8")


def test_the_same_configuration_is_recognised(claimed: Path) -> None:
    free = {**CONFIG, "training": {**CONFIG["training"], "workers": 2}, "folds": {**CONFIG["folds"], "only": [2]}}
    run = claim(claimed, parse_config(free), small_corpus(), base=claimed.parent)
    assert run.config.folds.only == (2,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["training.epochs=9"], "training.epochs: 2 there, 9 here"),
        (['model.network="n0"'], 'model.network: "n2" there, "n0" here'),
        (["branches.audio.extractor.channels=[6]"], r"branches.audio.extractor.channels: \[4\] there, \[6\] here"),
    ],
)
def test_another_configuration_is_refused(claimed: Path, changes: list[str], words: str) -> None:
    before = (begun(claimed) / RUN).read_bytes()
    with pytest.raises(RunError, match=f"holds a run with other settings: {words}. Give another --out"):
        claim(claimed, parse_config(CONFIG, changes), small_corpus(), base=claimed.parent)
    assert (claimed / RUN).read_bytes() == before


def test_a_run_without_an_epoch_gives_its_folder_away(claimed: Path) -> None:
    """What was refused while the network was built holds nothing; what was begun for it goes too."""
    (claimed / "fold-01").mkdir()
    (claimed / "fold-01" / "adaptation.npz").write_bytes(b"of the older configuration")
    changed = parse_config(CONFIG, ["training.epochs=9"])
    claim(claimed, changed, small_corpus(), base=claimed.parent)
    assert Run.open(claimed).config == changed
    assert not list(claimed.glob("fold-*"))


def test_other_data_are_refused(claimed: Path) -> None:
    begun(claimed)
    with pytest.raises(RunError, match="the corpus is another one"):
        claim(claimed, parse_config(CONFIG), small_corpus(30), base=claimed.parent)
    with pytest.raises(RunError, match="has changed since the training"):
        Run.open(claimed).check_corpus(small_corpus(30))


def with_another_number(corpus: Corpus, modality: str) -> Corpus:
    """The same samples, labels, groups and lengths; one number of one step is another."""
    steps = corpus.modalities[modality].steps.copy()
    steps[3, 1] += 0.5
    modalities = {**corpus.modalities, modality: corpus.modalities[modality]._replace(steps=steps)}
    groups = {name: values.tolist() for name, values in corpus.groups.items()}
    return Corpus(corpus.ids, modalities, corpus.targets, classes=corpus.classes, groups=groups)


@pytest.mark.parametrize("modality", ["audio", "face"])
def test_changed_features_are_refused(claimed: Path, modality: str) -> None:
    begun(claimed)
    other, run = with_another_number(small_corpus(), modality), Run.open(claimed)
    with pytest.raises(RunError, match=f"with other settings: the steps of '{modality}' are others. Give another"):
        claim(claimed, parse_config(CONFIG), other, base=claimed.parent)
    with pytest.raises(RunError, match=f"changed since the training: the steps of '{modality}' are others. Its folds"):
        run.check_corpus(other)
    assert (run.trained_on(other), run.trained_on(small_corpus())) == (False, True)
    run.check_corpus(small_corpus())


def test_the_same_features_are_recognised_wherever_they_are(claimed: Path, tmp_path: Path) -> None:
    begun(claimed)
    opened = Corpus.open(small_corpus().save(tmp_path / "corpus"))
    assert Run.open(claimed).trained_on(opened)
    claim(claimed, parse_config(CONFIG), opened, base=claimed.parent)


def test_a_run_of_an_earlier_version_knows_no_features(claimed: Path) -> None:
    begun(claimed)
    content = read_json(claimed / RUN)
    assert set(content["fingerprinted"].pop("steps")) == {"audio", "face"}
    write_json(claimed / RUN, content)
    other = with_another_number(small_corpus(), "face")
    run = claim(claimed, parse_config(CONFIG), other, base=claimed.parent)
    run.check_corpus(other)
    assert run.digests is None
    assert "steps" not in read_json(claimed / RUN)["fingerprinted"], "as if it had been trained on these"
    with pytest.raises(RunError, match="the corpus is another one"):
        claim(claimed, parse_config(CONFIG), small_corpus(30), base=claimed.parent)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="is not empty and holds no run; give a folder of its own"):
        claim(tmp_path, parse_config(CONFIG), small_corpus(), base=tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is no run: it has no run.json"),
        ("{", "cannot be read: .*Put a copy of it back, or remove the folder and train anew.$"),
        ("[1]", "holds no JSON object. Put a copy of it back, or remove the folder and train anew.$"),
        ('{"format": 7}', "has run format 7; this version reads format 1"),
        ('{"format": 1}', "is damaged: KeyError: 'config'"),
    ],
)
def test_what_is_no_run(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / RUN).write_text(content)
    with pytest.raises(RunError, match=words):
        Run.open(tmp_path)
    with pytest.raises(RunError, match="is no run: it is no folder"):
        Run.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Remove it, and the same command makes it again"),
        ('{"fold": 1}', "holds no figures of its fold. Remove it"),
        ('{"fold": 7, "name": "", "selected_epoch": 1, "metrics": {}}', "holds no figures of its fold"),
    ],
)
def test_damaged_figures_of_a_fold(claimed: Path, content: str, words: str) -> None:
    (claimed / "fold-01").mkdir()
    (claimed / "fold-01" / "fold.json").write_text(content)
    with pytest.raises(RunError, match=re.escape(words)):
        Run.open(claimed).finished()


def test_another_process_may_be_first_to_write(tmp_path: Path) -> None:
    """The second process sees a folder that the first is about to fill."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"{RUN}.partial").write_text("{")
    claim(tmp_path / "run", parse_config(CONFIG), small_corpus(), base=tmp_path, write=False)
    assert not (tmp_path / "run" / RUN).exists()


def test_an_outline_has_all_that_a_model_needs() -> None:
    corpus = small_corpus()
    like = corpus_of(json.loads(json.dumps(outline_of(corpus))))
    assert len(like) == 1
    assert like.classes == corpus.classes
    for name, modality in corpus.modalities.items():
        found = like.modalities[name]
        assert found.steps.dtype == modality.steps.dtype
        assert (found.steps.shape[1:], found.rate, len(found.steps)) == (modality.steps.shape[1:], modality.rate, 0)


def test_identity_tells_corpora_apart() -> None:
    corpus = small_corpus()
    assert identity_of(corpus) == identity_of(small_corpus(seed=3)), "steps are not read"
    relabelled = dict(corpus.targets)
    relabelled["emotion"] = np.roll(corpus.targets["emotion"], 1)
    groups = {name: values.tolist() for name, values in corpus.groups.items()}
    other = Corpus(corpus.ids, corpus.modalities, relabelled, classes=corpus.classes, groups=groups)
    same = Corpus(corpus.ids, corpus.modalities, corpus.targets, classes=corpus.classes, groups=groups)
    assert identity_of(other) != identity_of(corpus) == identity_of(same)


def test_differences_name_the_path() -> None:
    assert differences({"config": {"a": {"b": 1, "c": 2}}}, {"config": {"a": {"b": 1, "c": 3}, "d": None}}) == [
        "a.c: 2 there, 3 here"
    ]
    assert differences({"config": {"a": "x" * 99}}, {"config": {}})[0].endswith("... there, null here")


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a" / "b.json", {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path) == {"x": 1}
