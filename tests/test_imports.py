"""What ``import mrpnkit`` costs, and what the file of the paper needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mrpnkit

HEAVY = (
    "accelerate",
    "av",
    "dlib",
    "jinja2",
    "matplotlib",
    "pandas",
    "pydantic",
    "rich",
    "scipy",
    "sklearn",
    "timm",
    "torchaudio",
    "torchmetrics",
    "torchvision",
    "transformers",
    "typer",
)


def modules_after(statement: str) -> set[str]:
    """Top-level names in ``sys.modules`` of a fresh interpreter that ran the statement."""
    program = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return modules_after("import mrpnkit")


def test_the_question_is_asked_rightly() -> None:
    assert {"json", "xml"} <= modules_after("import json, xml.dom")
    assert "xml" not in modules_after("import json")


def test_import_loads_torch(loaded: set[str]) -> None:
    assert {"mrpnkit", "torch"} <= loaded


@pytest.mark.parametrize("package", HEAVY)
def test_import_loads_nothing_heavier(loaded: set[str], package: str) -> None:
    assert package not in loaded, f"`import mrpnkit` imports {package}; import it where it is used."


def test_everything_announced_is_there() -> None:
    assert len(mrpnkit.__all__) > 10
    assert [name for name in mrpnkit.__all__ if not hasattr(mrpnkit, name)] == []


def imports_of(file: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_the_paper_can_be_lifted_out() -> None:
    """mrpn.py needs torch, its shapes, the standard library and three files of ours; a linter cannot say "only"."""
    assert mrpnkit.__file__ is not None
    names = imports_of(Path(mrpnkit.__file__).with_name("mrpn.py"))
    ours = {name for name in names if name.startswith((".", "mrpnkit"))}
    assert ours == {"mrpnkit.errors", "mrpnkit.feature_norm", "mrpnkit.sequences"}
    others = {name.partition(".")[0] for name in names - ours}
    assert others - set(sys.stdlib_module_names) == {"torch", "jaxtyping"}
