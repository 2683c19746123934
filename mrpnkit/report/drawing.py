"""Small figures as inline SVG: lines, bands, reliability, points. Colours are the page's own."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34
COLOURS = 8
"""The page's style has so many colours of series, ``s0`` to ``s7``; ``s0`` is the fusion's."""
DASHES = ("", "7 3", "2 3")
"""Of lines whose colours come a second and a third time, so that each can be told from the others."""

_DASHED = ("", " dash1", " dash2")


class Line(NamedTuple):
    """A named series of points, and where there are several of them the least and the largest at each place."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    colour: int = 0


class Frame:
    """The axes of a figure: from values to places on the page."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], *, x_label: str, y_label: str, size: tuple[int, int]
    ) -> None:
        self.x, self.y, self.size = _wide(x), _wide(y), size
        self.labels = (x_label, y_label)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies, in pixels from the upper left corner."""
        (x0, x1), (y0, y1), (width, height) = self.x, self.y, self.size
        across = LEFT + (x - x0) / (x1 - x0) * (width - LEFT - RIGHT)
        return round(across, 1), round(height - BOTTOM - (y - y0) / (y1 - y0) * (height - TOP - BOTTOM), 1)

    def drawn(self, body: Sequence[str], *, title: str) -> str:
        """The whole figure: axes with ticks, then what was drawn."""
        width, height = self.size
        parts = [
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title, quote=True)}" '
            f'style="max-width:{width}px">'
        ]
        for value in ticks(*self.y):
            across, down = self.at(self.x[0], value)
            parts.append(f'<path class="grid" d="M{across} {down}H{width - RIGHT}"/>')
            parts.append(f'<text x="{across - 5}" y="{down + 4}" text-anchor="end">{value:.4g}</text>')
        for value in ticks(*self.x):
            across, down = self.at(value, self.y[0])
            parts.append(f'<text x="{across}" y="{down + 15}" text-anchor="middle">{value:.4g}</text>')
        across, down = self.at(self.x[0], self.y[0])
        parts.append(f'<path class="axis" d="M{across} {TOP}V{down}H{width - RIGHT}"/>')
        x_label, y_label = (html.escape(label) for label in self.labels)
        parts.append(f'<text x="{(width + LEFT) / 2:.0f}" y="{height - 4}" text-anchor="middle">{x_label}</text>')
        middle = (height - BOTTOM + TOP) / 2
        parts.append(f'<text transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle">{y_label}</text>')
        return "".join([*parts, *body, "</svg>"])


def lines(
    series: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    title: str,
    y_range: tuple[float, float] | None = None,
    zero: bool = False,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> str:
    """Lines with bands; an empty text where there is no point. ``zero`` also draws the line of 0."""
    known = [line for line in series if any(_fine(v) for v in line.y)]
    if not known:
        return ""
    across = [float(value) for line in known for value in line.x]
    up = [float(v) for line in known for part in (line.y, line.low or (), line.high or ()) for v in part if _fine(v)]
    if zero:
        up.append(0.0)
    reach = y_range or (min(up), max(up))
    frame = Frame((min(across), max(across)), reach, x_label=x_label, y_label=y_label, size=size)
    body = []
    if zero:
        (start, down), (end, _) = frame.at(frame.x[0], 0.0), frame.at(frame.x[1], 0.0)
        body.append(f'<path class="axis" d="M{start} {down}H{end}"/>')
    for line in known:
        if line.low is not None and line.high is not None and len(line.x) > 1:
            forth = [frame.at(x, y) for x, y in zip(line.x, line.high, strict=True) if _fine(y)]
            back = [frame.at(x, y) for x, y in zip(line.x, line.low, strict=True) if _fine(y)]
            body.append(f'<path class="band f{line.colour % COLOURS}" d="{_path([*forth, *back[::-1]])}Z"/>')
    for line in known:
        points = [frame.at(x, y) for x, y in zip(line.x, line.y, strict=True) if _fine(y)]
        pattern = DASHES[_round_of(line.colour)]
        dash = f' stroke-dasharray="{pattern}"' if pattern else ""
        body.append(f'<path class="line s{line.colour % COLOURS}"{dash} d="{_path(points)}"/>')
        if len(points) <= 12:
            body += [f'<circle class="f{line.colour % COLOURS}" cx="{x}" cy="{y}" r="3"/>' for x, y in points]
    return frame.drawn(body, title=title)


def reliability(bins: Sequence[tuple[float, float, int]], *, title: str, colour: int = 0) -> str:
    """Accuracy over confidence, a dot a bin whose area grows with its samples, beside the diagonal."""
    if not bins:
        return ""
    frame = Frame((0, 1), (0, 1), x_label="confidence", y_label="accuracy", size=(220, 210))
    (x0, y0), (x1, y1) = frame.at(0, 0), frame.at(1, 1)
    body = [f'<path class="axis" stroke-dasharray="4 3" d="M{x0} {y0}L{x1} {y1}"/>']
    body.append(f'<path class="line s{colour % COLOURS}" d="{_path([frame.at(c, a) for c, a, _ in bins])}"/>')
    most = max(count for _, _, count in bins)
    for confidence, accuracy, count in bins:
        x, y = frame.at(confidence, accuracy)
        told = f"{count} samples, confidence {confidence:.2f}, accuracy {accuracy:.2f}"
        radius = 2 + 5 * math.sqrt(count / most)
        body.append(
            f'<circle class="f{colour % COLOURS}" cx="{x}" cy="{y}" r="{radius:.1f}"><title>{told}</title></circle>'
        )
    return frame.drawn(body, title=title)


def points(places: NDArray[np.float64], labels: NDArray[np.int64], *, title: str) -> str:
    """Dots in the plane (n, 2), one path a label so that thousands of them stay small; no axes, they mean nothing."""
    size = 220
    low, high = places.min(axis=0), places.max(axis=0)
    scaled = (places - low) / np.where(high > low, high - low, 1.0) * (size - 16) + 8
    body = []
    for label in sorted(set(labels.tolist())):
        dots = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in scaled[labels == label])
        body.append(f'<path class="dots s{label % COLOURS}" d="{dots}"/>')
    told = html.escape(title, quote=True)
    head = f'<svg viewBox="0 0 {size} {size}" role="img" aria-label="{told}" style="max-width:{size}px">'
    return f"{head}{''.join(body)}</svg>"


def interval(value: float, low: float, high: float, reach: float) -> str:
    """A bar of an interval around zero, for a cell of a table."""
    width, height = 120, 14

    def at(number: float) -> float:
        return round(width / 2 + max(-1.0, min(1.0, number / reach)) * (width / 2 - 2), 1)

    tone = "f2" if high < 0 else "f3" if low > 0 else "f7"
    told = f"{100 * value:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    return (
        f'<svg class="interval" viewBox="0 0 {width} {height}" role="img" aria-label="{told}"><title>{told}</title>'
        f'<path class="axis" d="M{width / 2} 0V{height}"/>'
        f'<rect class="{tone}" x="{at(low)}" y="5" width="{max(1.0, round(at(high) - at(low), 1))}" height="4" rx="2"/>'
        f'<circle class="{tone}" cx="{at(value)}" cy="7" r="4"/></svg>'
    )


def legend(names: Mapping[str, int] | Sequence[str]) -> str:
    """Names beside their colours, and the dashes of lines; a sequence takes the colours in order."""
    known = names if isinstance(names, Mapping) else {name: place for place, name in enumerate(names)}
    items = "".join(
        f'<li><span class="key b{colour % COLOURS}{_DASHED[_round_of(colour)]}"></span>{html.escape(name)}</li>'
        for name, colour in known.items()
    )
    return f'<ul class="legend">{items}</ul>'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from low to high, about so many.

    >>> ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    step = 10 ** math.floor(math.log10((high - low) / count))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count + 1e-9)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 10) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _round_of(colour: int) -> int:
    """How often the colours were used up before this one, as far as there are dashes to show it."""
    return min(colour // COLOURS, len(DASHES) - 1)


def _wide(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if high > low:
        return low, high
    return low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def _fine(value: float) -> bool:
    return math.isfinite(value)
