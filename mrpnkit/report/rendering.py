"""Pages from templates: one file that holds its style, its script and its figures, and loads nothing."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from mrpnkit import __version__
from mrpnkit.errors import DependencyError
from mrpnkit.report.tables import shown

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


NUMBER = re.compile(r"[<+±−-]?\s*\d")
"""How a cell begins that is a number, or a pair of them."""


class Section(NamedTuple):
    """A part of a page: its anchor, its heading, its content."""

    id: str
    title: str
    body: "Markup"


@lru_cache(maxsize=1)
def environment() -> "Environment":
    """Templates of this package; what is put into them is escaped.

    Raises:
        DependencyError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise DependencyError('A report page needs jinja2: pip install "mrpnkit[report]" brings it.') from error
    made = Environment(
        loader=PackageLoader("mrpnkit.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters["shown"] = shown
    made.filters["worded"] = worded
    return made


def worded(rows: Sequence[Sequence[Any]]) -> list[bool]:
    """Of each column of a table, whether it holds words: texts, none of which begins as a number does.

    >>> worded([["a", "N1", 0.5, "0.8 ± 0.1"], ["b", "–", 0.25, "–"]])
    [True, True, False, False]
    """
    columns = list(zip(*rows, strict=True))
    return [all(isinstance(cell, str) and not NUMBER.match(cell) for cell in column) for column in columns]


def safe(text: str) -> "Markup":
    """HTML that is put in as it is."""
    from markupsafe import Markup

    return Markup(text)


def part(macro: str, *arguments: Any) -> "Markup":
    """One of the parts of ``parts.html``."""
    module: Any = environment().get_template("parts.html").module
    return safe(str(getattr(module, macro)(*arguments)))


def joined(parts: Sequence[str]) -> "Markup":
    """Several pieces, one after another."""
    return safe("\n".join(str(one) for one in parts if one))


def row(parts: Sequence[str]) -> "Markup":
    """Several pieces side by side, as far as there is room."""
    known = [str(one) for one in parts if one]
    return safe(f'<div class="row">{"".join(known)}</div>') if known else safe("")


def paragraph(text: str, *, kind: str = "") -> "Markup":
    """A paragraph of plain text."""
    from markupsafe import escape

    return safe(f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>")


def heading(text: str) -> "Markup":
    """A heading below that of a section."""
    from markupsafe import escape

    return safe(f"<h3>{escape(text)}</h3>")


def data_block(content: Mapping[str, Any]) -> "Markup":
    """Plain data for a script of the page; no text in it can end the block."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return safe(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    folder = files("mrpnkit.report") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    page: str = (
        environment()
        .get_template("page.html")
        .render(
            title=title,
            subtitle=subtitle,
            sections=sections,
            style=safe(style),
            script=safe(script),
            version=__version__,
        )
    )
    return page
