"""README and documentation are true: their Python runs, their commands, links and images exist."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]

RUN, SKIPPED, SHELL = "python", "python no-run", "console"
KNOWN = {
    RUN,
    SKIPPED,
    SHELL,
    "text",
    "toml",
    "json",
    "csv",
    "bibtex",
    "{eval-rst}",
    "{toctree}",
    "{include}",
    "{figure}",
}


class Block(NamedTuple):
    """A fenced block: what stands behind the fence, the number of its first line from 1, and its text."""

    info: str
    line: int
    text: str


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks, in order."""
    found: list[Block] = []
    lines = text.splitlines()
    start = 0
    while start < len(lines):
        opening = re.fullmatch(r"(`{3,}|~{3,}|:{3,})(.*)", lines[start].strip())
        if opening is None:
            start += 1
            continue
        fence = opening[1]
        ends = [n for n in range(start + 1, len(lines)) if lines[n].strip() == fence]
        assert ends, f"the block that opens at line {start + 1} is never closed"
        found.append(Block(opening[2].strip(), start + 2, "\n".join(lines[start + 1 : ends[0]]) + "\n"))
        start = ends[0] + 1
    return found


def prose_of(text: str) -> str:
    """A page without its fenced blocks."""
    for block in blocks_of(text):
        text = text.replace(block.text, "\n")
    return text


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
pages_with_python = [page for page in PAGES if any(b.info == RUN for b in blocks_of(page.read_text(encoding="utf-8")))]


def test_blocks_are_found() -> None:
    page = "a\n```python\nx = 1\n\ny = 2\n```\n\n````text\n```python\nno\n```\n````\n```\nplain\n```\n"
    assert blocks_of(page) == [
        Block("python", 3, "x = 1\n\ny = 2\n"),
        Block("text", 9, "```python\nno\n```\n"),
        Block("", 14, "plain\n"),
    ]
    with pytest.raises(AssertionError, match="line 1 is never closed"):
        blocks_of("```python\nx = 1\n")


def test_the_pages_that_must_run_do() -> None:
    """Else a renamed page, or a fence spelt otherwise, would leave nothing to test."""
    names = {name_of(page) for page in pages_with_python}
    assert names >= {"README.md", "docs/quickstart.md", "docs/concepts/sequences.md", "docs/concepts/missing.md"}


@each_page
def test_blocks_say_what_they_are(page: Path) -> None:
    """A Python block under another name would silently not be run."""
    for block in blocks_of(page.read_text(encoding="utf-8")):
        kind = block.info if block.info in (RUN, SKIPPED) else block.info.partition(" ")[0]
        assert kind in KNOWN, f"{name_of(page)}, line {block.line - 1}: ```{block.info}; known are {sorted(KNOWN)}"


@pytest.mark.parametrize("page", pages_with_python, ids=name_of)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page, in order, in one namespace and an empty current directory."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    namespace: dict[str, object] = {"__name__": "__page__"}
    try:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            if block.info == RUN:
                # Empty lines in front, so that an error names the line of the page.
                exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)
    finally:
        torch.set_num_threads(threads)


def targets() -> set[str]:
    """Targets of the Makefile that are meant to be called."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    assert declared is not None
    names = set(declared[1].split())
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in names)
    return names


def commands_of(page: Path) -> list[str]:
    """What follows ``$`` in console blocks, and what stands between backticks in the prose."""
    text = page.read_text(encoding="utf-8")
    shell = [line for block in blocks_of(text) if block.info == SHELL for line in block.text.splitlines()]
    assert all(line.startswith("$ ") for line in shell if line.startswith(("make", "python", "pip"))), shell
    return [line[2:] for line in shell if line.startswith("$ ")] + re.findall(r"`([^`\n]+)`", prose_of(text))


def test_the_readme_names_the_two_commands() -> None:
    assert {"make aver", "make test"} <= set(commands_of(ROOT / "README.md"))


@each_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in commands_of(page):
        words = command.split()
        if words[0] != "make" or len(words) == 1:
            continue
        assert words[1] in targets(), f"{name_of(page)}: `{command}`, but there is no target {words[1]!r}"
        for variable in re.findall(r"\b([A-Z]+)=", command):
            assert re.search(rf"^{variable}\s*\?=", makefile, re.MULTILINE), f"{name_of(page)}: `{command}`"


@each_page
def test_modules_that_commands_run_exist(page: Path) -> None:
    for command in commands_of(page):
        for module in re.findall(r"python -m ((?:examples|benchmarks|mrpnkit)[\w.]*)", command):
            place = ROOT.joinpath(*module.split("."))
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), (
                f"{name_of(page)}: {command}"
            )


@each_page
def test_links_and_images_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose_of(page.read_text(encoding="utf-8")))
    for link in links:
        if not link.startswith(("http://", "https://", "#", "mailto:")):
            assert (page.parent / link.partition("#")[0]).exists(), f"{name_of(page)} links to {link}"
