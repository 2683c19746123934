"""What a configuration says of adaptation: what is drawn, what is wrong with it, and what the data lack."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mrpnkit.build import build_corpus, build_folds
from mrpnkit.build_adaptation import enrolled_rows
from mrpnkit.config import Config, parse_config
from mrpnkit.errors import ConfigError
from mrpnkit.variants import changed
from tests.small_people import ADAPTED, people, workplace
from tests.small_runs import TOML


def test_a_drawing_is_of_the_seed_and_the_group_alone() -> None:
    corpus = people()

    def drawn(*overrides: str) -> dict[int, dict[str, NDArray[np.int64]]]:
        config = parse_config(ADAPTED, overrides)
        return {n: enrolled_rows(config, corpus, fold) for n, fold in enumerate(build_folds(config, corpus))}

    five, two = drawn("adaptation.enrol=5"), drawn("adaptation.enrol=2")
    other = drawn("adaptation.enrol=5", "training.seed=1")
    assert all(len(rows) == 5 for one in five.values() for rows in one.values())
    assert all(set(two[n][group]) < set(rows) for n, one in five.items() for group, rows in one.items())
    assert any((other[n][group] != rows).any() for n, one in five.items() for group, rows in one.items())
    np.testing.assert_array_equal(five[0]["3"], five[1]["3"])  # validates in one fold, is tested in the other
    assert all(corpus.groups["actor"][row] == g for one in five.values() for g, rows in one.items() for row in rows)
    assert not any(len(rows) for rows in drawn('adaptation.enrol="none"')[0].values())
    neutral = drawn("adaptation.enrol=20", 'adaptation.condition="emotion=calm"')
    assert {corpus.targets["emotion"][row] for row in neutral[0]["1"]} == {0}
    assert len(neutral[0]["1"]) == 3


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ('column = "actor"', "enrol", "is missing: How many unlabelled samples"),
        ('column = "actor"\nenrol = "some"', "enrol", "expected 'all' or 'none', got \"some\""),
        ('column = "actor"\nenrol = 0', "enrol", "expected 1 or more, got 0"),
        ('column = "actor"\nenrol = true', "enrol", "expected an integer, got true"),
        ('column = "actor"\nenrol = 3\nmodalities = ["fac"]', "modalities", "no branch 'fac'; did you mean 'face'?"),
        ('column = "actor"\nenrol = 3\ncondition = "sad"', "condition", "expected TARGET=CLASS or COLUMN=VALUE"),
        ('column = "actor"\nenrol = "none"\ncondition = "a=b"', "condition", "chooses among samples to enrol"),
    ],
)
def test_wrong_configurations(text: str, path: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(f"{TOML}\n[adaptation]\n{text}\n")
    assert [problem.path for problem in error.value.problems] == [f"adaptation.{path}"]
    assert says in error.value.problems[0].text


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ('adaptation.column="speaker"', "column", "no column 'speaker'. It has actor, sex."),
        ('adaptation.column="sex"', "column", "'sex' has 2 groups; three are needed"),
        ('adaptation.condition="emotio=sad"', "condition", "no column 'emotio'; did you mean 'emotion'?"),
        ('adaptation.condition="emotion=sadd"', "condition", "no value 'sadd'; did you mean 'sad'?"),
    ],
)
def test_what_the_data_lack(change: str, path: str, says: str, tmp_path: Path) -> None:
    workplace(tmp_path)
    config = parse_config(ADAPTED, [change])
    with pytest.raises(ConfigError) as error:
        build_corpus(config, tmp_path)
    assert error.value.problems[0].path == f"adaptation.{path}"
    assert says in error.value.problems[0].text


def test_variants_of_an_ablation_adapt_what_they_have() -> None:
    config: Config = parse_config(ADAPTED, ['adaptation.modalities=["face"]'])
    alone = changed(config, branches=("face",), network="n0").adaptation
    assert alone is not None
    assert alone.modalities == ("face",)
    assert changed(config, branches=("audio",), network="n0").adaptation is None
    assert changed(parse_config(ADAPTED), branches=("audio",), network="n0").adaptation is not None
