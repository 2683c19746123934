"""What README and the pages print is what the files of the benchmarks hold, rounded down and never up."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NUMBER = re.compile(r"[+−-]?\d+(?:\.\d+)?")

README = {
    "54.6 ± 10.0 | 64.7 ± 6.4 | 77.4": ("ravdess_landmarks_speech", {"54.6": "am", "64.7": "vm", "77.4": "n0"}),
    "nothing selected, three seeds": ("interference_ravdess", {"81.1": "n0", "82.6": "n1", "81.7": "n2"}),
    "normalised per speaker": ("speaker_adaptation", {"92.9": "best/all", "87.8": "best/5"}),
    "conflicting views, decision by": (
        "multiview",
        {f"{value}": f"{name}/conflicting/n2_witnesses" for value, name in
         (("98.8", "handwritten"), ("75.2", "scene15"), ("70.0", "landuse21"))},
    ),
    "speaker recognition on": ("speakers", {"88.8": "top1"}),
}  # fmt: skip
"""A piece of a line of README, the file, and which figure each printed percentage is."""
VARIANTS = {
    "N0": "n0/fused",
    "N1": "n1/fused",
    "N2": "n2/fused",
    "N1, none of the fusion's gradient": "n1_gradient_0/fused",
    "N2, a view left out of a fifth": "n2_modality_dropout_0.2/fused",
    "N1, mean of all heads": "n1/mean",
    "N1, decided by witnesses": "n1/witnesses",
    "N2, mean of all heads": "n2/mean",
    "N2, decided by witnesses": "n2/witnesses",
}
BRANCH = {"AM, begun at random": ("am_scratch", "am_log_mel"), "AM, begun with the weights": ("am_initialised",)}
BRANCH |= {name.upper(): (name, f"{name}_log_mel") for name in ("n0", "n1", "n2")}


def figures(name: str) -> Mapping[str, float]:
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return {key: figure["value"] for key, figure in content["figures"].items()}


def is_down(printed: str, value: float) -> bool:
    """Whether the digits are those of the value, the rest cut off."""
    scale = 10 ** len(printed.partition(".")[2])
    shown = round(float(printed.replace("−", "-")) * scale)
    return bool(shown == math.floor(value * scale + 1e-6))


def table_rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|-"):
            yield [cell.strip().strip("*") for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("piece", README)
def test_the_readme_prints_what_the_files_hold(piece: str) -> None:
    name, shown = README[piece]
    line = next(line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if piece in line)
    found = figures(name)
    for printed, key in shown.items():
        assert printed in NUMBER.findall(line)
        assert is_down(printed, 100 * found[key]), (key, found[key])


def test_both_fer2013_figures_are_in_the_readme() -> None:
    line = next(line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "FER-2013" in line)
    printed = re.findall(r"(\d+\.\d+) %", line)
    for text, name in zip(printed, ("fer2013", "fer2013_gpu"), strict=True):
        assert is_down(text, 100 * figures(name)["test_accuracy"])


def test_the_study_of_interference_prints_what_its_files_hold() -> None:
    page = (ROOT / "docs" / "explain" / "interference.md").read_text(encoding="utf-8")
    ravdess, views = figures("interference_ravdess"), figures("interference_multiview")
    head = next(row for row in table_rows(page) if row[0] == "58.7")
    for printed, key in zip(head, ("am", "vm", "n0", "n1", "n2", "chosen"), strict=True):
        assert is_down(printed.strip("*"), 100 * ravdess[key]), key
    condition, checked = "", 0
    for row in table_rows(page[page.index("four multi-view sets\n") :]):
        if row[0].endswith("views"):
            condition = row[0].partition(" ")[0]
        elif row[0] in VARIANTS and condition:
            for printed, name in zip(row[1:], ("handwritten", "scene15", "landuse21", "rosmap"), strict=True):
                assert is_down(printed.strip("*"), 100 * views[f"{name}/{condition}/{VARIANTS[row[0]]}"]), row
                checked += 1
    assert checked == 16 * 4


def test_the_page_of_weights_prints_what_its_files_hold() -> None:
    page = (ROOT / "docs" / "pretraining.md").read_text(encoding="utf-8")
    found, speakers = figures("ravdess_spectrograms"), figures("speakers")
    rows = {row[0]: [cell for cell in row[1:] if cell] for row in table_rows(page)}
    for name, keys in BRANCH.items():
        for printed, key in zip(rows[name], keys, strict=True):
            assert is_down(printed, found[key]), key
    text = page[page.index("**Speakers.**") : page.index("![Training loss")]
    for key in ("top1", "top1/audiomnist_az", "top1/emodb", "top1/urdu"):
        assert any(is_down(printed, speakers[key]) for printed in re.findall(r"0\.\d{3}", text)), key


def test_the_included_tables_are_made_from_their_files() -> None:
    from benchmarks._multiview_figure import markdown
    from benchmarks.missing_modalities import as_text
    from benchmarks.multiview import shown
    from mrpnkit.report import Figure

    def read(name: str) -> dict[str, Figure]:
        content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        return {key: Figure(**figure) for key, figure in content["figures"].items()}

    folder = ROOT / "docs" / "figures"
    views = read("multiview")
    assert (folder / "multiview.inc").read_text(encoding="utf-8") == markdown(views, shown(views))
    results: dict[tuple[str, str], list[dict[str, object]]] = {
        ("ravdess", ""): [{}] * 10,
        ("handwritten", ""): [{}] * 5,
    }
    assert (folder / "missing.inc").read_text(encoding="utf-8") == as_text(results, read("missing_modalities"))
