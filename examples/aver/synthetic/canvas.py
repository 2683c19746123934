"""Where a face is drawn: a canvas that knows where the face stands, and the few shapes that are put on it.

Lengths are in inter-ocular distances of the face at hand unless they say pixels.
"""

import numpy as np
from PIL import Image, ImageDraw

from examples.aver.synthetic.face import CONTROLS, FaceTrack, Floats, Pose, place

FINER = 3
"""The canvas is so many times larger than the picture that is made of it, which smooths the edges."""
Colour = tuple[int, int, int]


class Canvas:
    """One frame of a performance, ``FINER`` times as large as the picture.

    Args:
        track: the performance.
        frame: which frame of it.
        size: of the picture, in pixels.
        wall: what is behind everything.
    """

    def __init__(self, track: FaceTrack, frame: int, *, size: int, wall: Colour) -> None:
        self.size = size
        self.points = track.points[frame] * FINER
        self.pose = Pose(*(part[frame : frame + 1] for part in track.pose))
        self.unit = float(self.pose.unit[0]) * FINER
        self.control = dict(zip(CONTROLS, track.controls[frame], strict=True))
        self.image = Image.new("RGB", (size * FINER, size * FINER), wall)
        self.pen = ImageDraw.Draw(self.image)

    def at(self, points: list[tuple[float, float]], *, depth: float | None = 0.0) -> Floats:
        """Model coordinates → pixels of the canvas; without a depth, on a skull round from side to side."""
        where = np.array([points])
        round_skull = 0.15 - 0.9 * np.clip(np.abs(where[0, :, 0]) / 1.13, 0, 1.2) ** 1.5
        placed = place(where, self.pose, round_skull if depth is None else np.full(len(points), depth))
        return np.asarray(placed[0] * FINER, dtype=np.float64)

    def model(self, point: Floats) -> Floats:
        """A pixel of the canvas → coordinates of a flat face (depth 0, without turn and nod)."""
        z = complex(*(point / FINER - self.pose.origin[0])) / self.pose.unit[0] * np.exp(-1j * self.pose.tilt[0])
        return np.array([z.real, z.imag])

    def vector(self, along: tuple[float, float]) -> Floats:
        """A direction of the face → pixels of the canvas."""
        z = complex(*along) * self.unit * np.exp(1j * self.pose.tilt[0])
        return np.array([z.real, z.imag])

    def pixels(self, width: float) -> int:
        """The width of a line, one pixel at least."""
        return max(1, round(width * self.unit))

    def inside(self, outline: Floats) -> Image.Image:
        """A mask of what is inside of an outline."""
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).polygon(corners(outline), fill=255)
        return mask

    def fill(self, points: Floats, colour: Colour) -> None:
        """A polygon."""
        self.pen.polygon(corners(points), fill=colour)

    def line(self, points: Floats, colour: Colour, width: float) -> None:
        """A line with round ends."""
        self.pen.line(corners(points), fill=colour, width=self.pixels(width), joint="curve")
        for end in (points[0], points[-1]):
            ellipse(self.pen, end, self.pixels(width) / 2 - 0.5, self.pixels(width) / 2 - 0.5, colour)

    def disk(self, centre: Floats, radius: float, colour: Colour, *, stretch: float) -> None:
        """A disk, ``stretch`` times as high as wide."""
        ellipse(self.pen, centre, radius * self.unit, radius * stretch * self.unit, colour)


def ellipse(pen: ImageDraw.ImageDraw, centre: Floats, wide: float, high: float, colour: Colour) -> None:
    """An ellipse; half its width and half its height are in pixels."""
    pen.ellipse([centre[0] - wide, centre[1] - high, centre[0] + wide, centre[1] + high], fill=colour)


def corners(points: Floats) -> list[tuple[float, float]]:
    """Points (K, 2) as Pillow takes them."""
    return [(float(x), float(y)) for x, y in points]


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour so many times as bright."""
    r, g, b = (int(np.clip(channel * factor, 0, 255)) for channel in colour)
    return r, g, b


def smooth(points: Floats, *, closed: bool = False) -> Floats:
    """A Catmull-Rom curve through the points, eight steps between two: (K, 2) → (8 K − 7, 2), or 8 K where closed."""
    if closed:
        before, after = points[-1:], points[:2]
    else:
        before, after = 2 * points[:1] - points[1:2], 2 * points[-1:] - points[-2:-1]
    p = np.concatenate([before, points, after])
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]
    a, b, c, d = (p[k : len(p) - 3 + k, None] for k in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])
