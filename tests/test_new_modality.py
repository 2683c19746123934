"""The page "Register a new modality" is true: its files and commands, from top to bottom, in a clean environment."""

import doctest
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.test_docs import ROOT, RUN, SKIPPED, Block, blocks_of

PAGE = ROOT / "docs" / "new_modality.md"
PLUGIN = ROOT / "examples" / "new_modality"
BLOCKS = blocks_of(PAGE.read_text(encoding="utf-8"))
FILE_BLOCKS = [
    block for block in BLOCKS if block.info not in (RUN, SKIPPED) and block.info.startswith(("toml", "python"))
]
LINES = 25
RECORDER = """import atexit, os, sys

@atexit.register
def write():
    with open(os.environ["IMPORTED"], "a") as file:
        print(*sys.modules, sep="\\n", file=file)
"""
PIP = """#!/bin/sh
case "$1" in
  install|wheel) command=$1; shift; exec python -m pip $command --no-index --no-deps --no-build-isolation "$@" ;;
  *) exec python -m pip "$@" ;;
esac
"""


def file_of(block: Block) -> str:
    return block.info.partition(" ")[2]


@pytest.mark.parametrize("block", FILE_BLOCKS, ids=lambda block: f"line {block.line}")
def test_what_the_page_quotes_stands_in_the_package(block: Block) -> None:
    """A block that names a file of the repository is part of it; the others are files that the reader writes."""
    name = file_of(block)
    assert name, f"line {block.line - 1}: which file is this?"
    if name.startswith("examples/"):
        assert block.text in (ROOT / name).read_text(encoding="utf-8"), (
            f"{name} has no longer what line {block.line} says"
        )
    else:
        assert not (ROOT / name).exists()


def test_an_extractor_takes_no_more_lines_than_promised() -> None:
    sources = [block.text for block in FILE_BLOCKS if file_of(block) == "mrpnkit-jerk/mrpnkit_jerk.py"]
    assert len(sources) == 1
    assert f"## An extractor in {LINES} lines" in PAGE.read_text(encoding="utf-8")
    assert len(sources[0].splitlines()) <= LINES
    assert all(len(line) <= 120 for line in sources[0].splitlines())


def test_a_modality_of_vectors_takes_one_table() -> None:
    *before, table = [block.text for block in FILE_BLOCKS if file_of(block) == "run.toml"]
    assert before
    assert re.fullmatch(r"\[branches\.\w+\]\n([^\[\n]+\n)*", table)


class Ran(NamedTuple):
    """A command, its exit code, what it wrote, and the modules that it had imported when it ended."""

    command: str
    code: int
    output: str
    imported: frozenset[str]


class Environment:
    """An environment with mrpnkit and what it depends on, and nothing else of ours; offline.

    torch and the other dependencies are those of the interpreter that runs the tests: a path file leads to them.
    mrpnkit itself is built and installed.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", with_pip=False, symlinks=True)
        binaries = folder / "env" / "bin"
        self.python = binaries / "python"
        inside = {"base": str(folder / "env"), "platbase": str(folder / "env")}
        self.packages = Path(sysconfig.get_path("purelib", "venv", inside))
        outside = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        (self.packages / "dependencies.pth").write_text("\n".join([*outside, "import record_imported"]) + "\n")
        (self.packages / "record_imported.py").write_text(RECORDER)
        pip = binaries / "pip"
        pip.write_text(PIP)
        pip.chmod(0o755)
        self.work = folder / "work"
        self.work.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "PIP_"))}
        self.variables = kept | {
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "PYTHONNOUSERSITE": "1",
            "IMPORTED": str(folder / "imported"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }
        # The interpreter of the tests has a mrpnkit too, outside of the environment.
        self.passes(f"pip install --quiet --ignore-installed '{ROOT}'")
        place = self.passes("python -c 'import mrpnkit; print(mrpnkit.__file__)'").output.strip()
        assert Path(place).is_relative_to(self.packages), place

    def runs(self, command: str) -> Ran:
        imported = Path(self.variables["IMPORTED"])
        imported.write_text("")
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.work,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        return Ran(command, done.returncode, done.stdout, frozenset(imported.read_text().split()))

    def passes(self, command: str) -> Ran:
        ran = self.runs(command)
        assert ran.code == 0, f"$ {command}\n{ran.output}"
        return ran

    def fails(self, command: str) -> Ran:
        ran = self.runs(command)
        assert ran.code != 0, f"$ {command}\n{ran.output}"
        assert "Traceback" not in ran.output, f"$ {command}\n{ran.output}"
        return ran

    def announces(self, distribution: str, module: str, source: str, **names: str) -> None:
        """What an installer leaves of a distribution with one module and some extractors."""
        (self.packages / f"{module}.py").write_text(source)
        info = self.packages / f"{module}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {module}:{target}" for name, target in names.items()]
        (info / "entry_points.txt").write_text("\n".join(["[mrpnkit.extractors]", *lines]) + "\n")


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Each command of a console block, and what the page shows of its output."""
    pieces = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (piece.partition("\n") for piece in pieces)]


def matches(shown: str, output: str) -> bool:
    """Whether the output is what the page shows, where ``...`` stands for anything and line breaks are spaces."""
    if not shown.strip():
        return True
    return doctest.OutputChecker().check_output(shown, output, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def test_matching_is_strict_enough() -> None:
    assert matches("", "anything\n")
    assert matches("a ... c\n", "a b\nc\n")
    assert not matches("a ... d\n", "a b\nc\n")


def prepare(environment: Environment, state: str) -> None:
    """What the page supposes before it shows an error."""
    jerk = next(block.text for block in FILE_BLOCKS if file_of(block) == "mrpnkit-jerk/mrpnkit_jerk.py")
    if state == "broken":
        environment.announces("mrpnkit-jerk", "mrpnkit_jerk", f"import a_package_that_nobody_has\n{jerk}", jerk="Jerk")
    elif state == "clash":
        environment.announces("mrpnkit-jerk", "mrpnkit_jerk", jerk, jerk="Jerk")
        environment.announces("mrpnkit-jolt", "mrpnkit_jolt", jerk, jerk="Jerk")


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    shutil.copytree(
        PLUGIN, environment.work / "examples" / "new_modality", ignore=shutil.ignore_patterns("__pycache__")
    )
    done: dict[str, Ran] = {}
    for block in BLOCKS:
        kind, _, detail = block.info.partition(" ")
        if block.info in (RUN, SKIPPED):
            (environment.work / "block.py").write_text(block.text, encoding="utf-8")
            environment.passes("python block.py")
        elif kind in ("toml", "python") and not detail.startswith("examples/"):
            file = environment.work / detail
            file.parent.mkdir(exist_ok=True)
            with file.open("a", encoding="utf-8") as written:
                written.write(block.text)
        elif kind == "console":
            prepare(environment, detail)
            for command, shown in commands_of(block):
                ran = environment.fails(command) if detail else environment.passes(command)
                assert matches(shown, ran.output), f"$ {command}\n{ran.output}\nthe page shows:\n{shown}"
                done[f"{command} ({detail})" if detail else command] = ran
                check(ran)
    expected = {"pip wheel", "pip install", "pip uninstall", "mrpnkit list", "mrpnkit check", "mrpnkit train"}
    assert {" ".join(command.split()[:2]) for command in done} >= expected


def check(ran: Ran) -> None:
    """What a command of the page must have done beside what the page shows."""
    packages = {name.partition(".")[0] for name in ran.imported}
    if ran.command == "mrpnkit list":
        assert all(name in ran.output for name in ("band_energies", "inertial_csv", "inertial_synthetic", "jerk"))
    if ran.command.startswith("mrpnkit list"):
        assert "mrpnkit" in packages
        assert not packages & {"mrpnkit_inertial", "mrpnkit_jerk", "mrpnkit_jolt", "torch"}
    if ran.command == "mrpnkit describe extractor jerk" and ran.code == 0:
        assert "mrpnkit_jerk" in packages
    if ran.command.endswith("inertial.toml") and ran.code == 0:
        assert "mrpnkit_inertial" in packages
        assert "mrpnkit_jerk" not in packages
        assert all(name in ran.output for name in ("wrist", "ankle"))
    if "run.toml" in ran.command:
        assert all(name in ran.output for name in ("voice", "posture"))
    if ran.command.startswith("python -m pytest"):
        assert re.search(r"\d+ passed", ran.output)
        assert not re.search(r"skipped|failed|error", ran.output)
