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


@pytest.fixture(scope="module")
def used() -> set[str]:
    return modules_after("import mrpnkit; mrpnkit.MRPN")


def test_the_question_is_asked_rightly() -> None:
    assert {"json", "xml"} <= modules_after("import json, xml.dom")
    assert "xml" not in modules_after("import json")


def test_import_waits_with_torch(loaded: set[str]) -> None:
    assert "mrpnkit" in loaded
    assert not {"torch", "numpy"} & loaded


def test_a_name_that_is_used_loads_torch(used: set[str]) -> None:
    assert {"mrpnkit", "torch"} <= used


@pytest.mark.parametrize("package", HEAVY)
def test_import_loads_nothing_heavier(loaded: set[str], used: set[str], package: str) -> None:
    assert package not in loaded, f"`import mrpnkit` imports {package}; import it where it is used."
    assert package not in used, f"`mrpnkit.MRPN` imports {package}; import it where it is used."


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["list"], ["list", "extractors"]])
def test_commands_that_look_answer_without_torch(arguments: list[str]) -> None:
    """Neither torch nor any part is imported: what is listed is read from metadata."""
    leave = f"from mrpnkit.cli import main\ntry: main({arguments})\nexcept SystemExit as left: assert not left.code"
    found = modules_after(leave)
    assert "typer" in found
    assert not {"torch", "numpy", "accelerate", "transformers", "timm"} & found


def test_everything_announced_is_there() -> None:
    assert len(mrpnkit.__all__) > 10
    assert [name for name in mrpnkit.__all__ if not hasattr(mrpnkit, name)] == []
    assert set(mrpnkit.__all__) <= set(dir(mrpnkit))
    with pytest.raises(AttributeError, match="module 'mrpnkit' has no attribute 'MRPM'"):
        _ = mrpnkit.MRPM


def test_names_and_their_homes_agree() -> None:
    """What type checkers read and what is loaded at run time are the same names of the same modules."""
    assert mrpnkit.__file__ is not None
    checked = {
        alias.name: node.module
        for node in ast.walk(ast.parse(Path(mrpnkit.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("mrpnkit.")
        for alias in node.names
    }
    assert checked == {name: f"mrpnkit.{module}" for name, module in mrpnkit._MODULE_OF.items()}
    assert set(checked) == set(mrpnkit.__all__)
    assert mrpnkit.mrpn.MRPN is mrpnkit.MRPN


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
    """mrpn.py needs torch, its shapes, the standard library and six files of ours; a linter cannot say "only"."""
    assert mrpnkit.__file__ is not None
    names = imports_of(Path(mrpnkit.__file__).with_name("mrpn.py"))
    ours = {name for name in names if name.startswith((".", "mrpnkit"))}
    files = ("errors", "feature_norm", "names", "outputs", "presence", "sequences")
    assert ours == {f"mrpnkit.{file}" for file in files}
    others = {name.partition(".")[0] for name in names - ours}
    assert others - set(sys.stdlib_module_names) == {"torch", "jaxtyping"}


def test_shapes_are_written_of_classes_that_jaxtyping_knows() -> None:
    # NDArray is a class with its element type up to NumPy 2.4, later an alias on which jaxtyping fails at import.
    package = Path(mrpnkit.__file__).parent
    shaped = {"Float", "Float32", "Float64", "Int", "Int64", "Bool", "UInt8", "Num", "Shaped"}
    found = [
        f"{file.relative_to(package)}:{node.lineno}"
        for file in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id in shaped
        and "NDArray" in ast.unparse(node.slice)
    ]
    assert found == []
