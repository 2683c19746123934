"""From a moving face of 68 points to pictures: skin, hair, eyes, brows, nose, mouth, folds and soft light.

Everything is drawn at three times the size and averaged down, which smooths the edges. Lengths in the code are in
inter-ocular distances of the face at hand unless they say pixels.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from examples.aver.synthetic.face import CONTROLS, FaceTrack, Floats, Pose, place

FINER = 3
Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = ((245, 208, 180), (236, 188, 152), (208, 156, 118), (161, 111, 78), (122, 82, 58))
HAIRS: tuple[Colour, ...] = ((44, 34, 30), (82, 54, 36), (128, 84, 48), (190, 148, 86), (150, 70, 40))
IRISES: tuple[Colour, ...] = ((84, 58, 38), (70, 104, 138), (86, 112, 72), (58, 44, 34))
SHIRTS: tuple[Colour, ...] = ((70, 96, 140), (146, 74, 74), (84, 128, 96), (110, 92, 140), (60, 68, 78))
WALLS: tuple[Colour, ...] = ((214, 222, 228), (226, 220, 208), (208, 222, 212), (222, 212, 222))


class Appearance(NamedTuple):
    """Colours of an actor and the length of the hair (``long``: down to the shoulders)."""

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour
    wall: Colour
    long: bool


def appearance(rng: np.random.Generator, *, sex: str) -> Appearance:
    """Draw an actor's looks: women have long hair here, men short."""
    skin, hair, iris, shirt, wall = (
        tones[int(rng.integers(len(tones)))] for tones in (SKINS, HAIRS, IRISES, SHIRTS, WALLS)
    )
    if sum(skin) < 450:
        hair = HAIRS[0]
    return Appearance(skin, hair, iris, shirt, wall, sex == "female")


def draw(track: FaceTrack, looks: Appearance, *, size: int) -> NDArray[np.uint8]:
    """Every frame of a performance, (T, size, size, 3) uint8 RGB."""
    return np.stack([_Canvas(track, t, looks, size).picture() for t in range(len(track.points))])


class _Canvas:
    """One frame. Its methods paint from the back to the front."""

    def __init__(self, track: FaceTrack, frame: int, looks: Appearance, size: int) -> None:
        self.looks, self.size = looks, size
        self.points = track.points[frame] * FINER
        self.pose = Pose(*(part[frame : frame + 1] for part in track.pose))
        self.unit = float(self.pose.unit[0]) * FINER
        self.control = dict(zip(CONTROLS, track.controls[frame], strict=True))
        self.image = Image.new("RGB", (size * FINER, size * FINER), looks.wall)
        self.pen = ImageDraw.Draw(self.image)

    def picture(self) -> NDArray[np.uint8]:
        """The finished frame, (size, size, 3)."""
        self._wall()
        if self.looks.long:
            self._long_hair()
        self._body()
        outline = self._head()
        self._light(outline)
        self._folds(outline)
        self._hair(outline)
        self._eyes()
        self._brows()
        self._nose()
        self._mouth()
        return np.asarray(self.image.reduce(FINER), dtype=np.uint8)

    # -- behind and around the face

    def _wall(self) -> None:
        ramp = np.linspace(1.04, 0.86, self.image.height)[:, None, None] * np.array(self.looks.wall)
        column = np.clip(ramp, 0, 255).astype(np.uint8)
        self.image.paste(Image.fromarray(column).resize(self.image.size))

    def _long_hair(self) -> None:
        curve = [
            (-0.5, -1.5),
            (-1.25, -0.9),
            (-1.5, 0.2),
            (-1.5, 1.3),
            (-1.25, 2.2),
            (1.25, 2.2),
            (1.5, 1.3),
            (1.5, 0.2),
        ]
        self._fill(
            _smooth(self._at([*curve, (1.25, -0.9), (0.5, -1.5)], depth=-0.6), closed=True),
            _shade(self.looks.hair, 0.8),
        )

    def _body(self) -> None:
        shoulders = [(-3.2, 4.2), (-2.4, 2.75), (-0.75, 2.2), (0.75, 2.2), (2.4, 2.75), (3.2, 4.2)]
        straight = self.pose._replace(tilt=self.pose.tilt * 0.2, turn=self.pose.turn * 0, nod=self.pose.nod * 0)
        neck = self._at([(-0.55, 1.0), (-0.58, 2.2), (0, 2.6), (0.58, 2.2), (0.55, 1.0)], depth=-0.5)
        self._fill(place(np.array([shoulders]), straight, np.zeros(6))[0] * FINER, self.looks.shirt)
        self._fill(neck, _shade(self.looks.skin, 0.78))

    def _head(self) -> Floats:
        jaw = self.points[:17]
        middle, half = (jaw[0] + jaw[16]) / 2, (jaw[16] - jaw[0]) / 2
        up = np.array([half[1], -half[0]])
        angle = np.linspace(0, np.pi, 24)[1:-1, None]
        skull = middle + half * np.cos(angle) + 1.22 * up * np.sin(angle)
        for side in () if self.looks.long else (-1, 1):
            ear = self._at([(side * 1.15, 0.25)], depth=-0.75)[0]
            self._disk(ear, 0.2, _shade(self.looks.skin, 0.86), stretch=1.5)
        outline = np.concatenate([_smooth(jaw), skull])
        self._fill(outline, self.looks.skin)
        return outline

    def _light(self, outline: Floats) -> None:
        """Roundness, eye sockets, the shade of nose and lip, red cheeks; laid over the skin by multiplication."""
        rows, columns = np.mgrid[: self.size : 2, : self.size : 2] + 0.5
        z = (columns - self.pose.origin[0, 0]) + 1j * (rows - self.pose.origin[0, 1])
        z = z / self.pose.unit[0] * np.exp(-1j * self.pose.tilt[0])
        x, y = z.real, z.imag

        def spot(where: tuple[float, float], wide: float, high: float) -> Floats:
            return np.asarray(np.exp(-(((x - where[0]) / wide) ** 2) - ((y - where[1]) / high) ** 2))

        round_off = np.clip(((x + 0.2) / 1.45) ** 2 + ((y - 0.15) / 1.95) ** 2, 0, 1.4)
        turn, nod = self.pose.turn[0], self.pose.nod[0]
        lip = self._model(self.points[57])
        shade = 1.05 - 0.24 * round_off**1.5
        for side in (-0.5, 0.5):
            shade = shade - 0.1 * spot((side, -0.08), 0.34, 0.2)
        shade = shade - 0.1 * spot((0.14 + turn * 0.5, 0.5), 0.1, 0.3) - 0.12 * spot((lip[0], lip[1] + 0.1), 0.25, 0.07)
        shade = (
            shade
            + 0.07 * spot((-0.05 + 0.5 * turn, 0.45 + 0.4 * nod), 0.09, 0.25)
            + 0.05 * spot((-0.1, -0.75), 0.5, 0.25)
        )
        red = sum(spot((side * 0.68, 0.66 - 0.08 * self.control["smile"]), 0.28, 0.2) for side in (-1, 1))
        blush = red * (0.06 + 0.05 * np.clip(self.control["smile"], 0, 1))
        light = np.stack([shade, shade - blush, shade - blush], axis=-1)
        over = Image.fromarray(np.clip(light * 242, 0, 255).astype(np.uint8)).resize(
            self.image.size, Image.Resampling.BILINEAR
        )
        self.image.paste(ImageChops.multiply(self.image, over), (0, 0), self._inside(outline))

    def _hair(self, outline: Floats) -> None:
        middle = self._at([(0, 0.1)])[0]
        skull = outline[_smooth(self.points[:17]).shape[0] :]
        outer = middle + (skull - middle) * (1.09 if self.looks.long else 1.07)
        if self.looks.long:
            line = [(-1.2, 0.35), (-1.06, -0.3), (-0.75, -0.78), (0.15, -1.02), (0.8, -0.72), (1.06, -0.3), (1.2, 0.35)]
        else:
            line = [
                (-1.16, 0.0),
                (-1.02, -0.42),
                (-0.82, -0.82),
                (-0.2, -0.95),
                (0.45, -0.9),
                (0.86, -0.78),
                (1.02, -0.42),
            ]
            line.append((1.16, 0.0))
        self._fill(np.concatenate([_smooth(self._at(line, depth=None)), outer]), self.looks.hair)
        sheen = self._at([(-0.75, -1.12), (-0.35, -1.25), (0.1, -1.3)], depth=-0.75)
        self._line(_smooth(sheen), _shade(self.looks.hair, 1.18), 0.05)

    # -- the face

    def _folds(self, outline: Floats) -> None:
        """Lines that come and go with the expression, on the face and not beyond it."""
        bare = self.image.copy()
        fold = max(self.control["smile"], 1.1 * self.control["upper_lip"], 0.8 * self.control["nose_wrinkle"], 0.0)
        for corner, wing, side in ((48, 31, -1), (54, 35, 1)):
            start = self._model(self.points[wing]) + [side * 0.13, -0.02]
            end = self._model(self.points[corner]) + [side * 0.15, 0.0]
            bend = (start + end) / 2 + [side * 0.07, -0.02]
            self._crease([start, bend, end], 0.9 * fold, 0.028)
            pulled = self._model(self.points[corner]) + [side * 0.06, 0.08]
            self._crease([pulled, pulled + [side * 0.02, 0.1]], 0.9 * self.control["frown"], 0.03)
        furrow = self.control["brow_furrow"] - 0.2
        for brow, side in ((21, -1), (22, 1)):
            inner = self._model(self.points[brow])
            top = np.array([side * 0.07, inner[1] - 0.14])
            self._crease([top, top + [side * -0.015, 0.13], top + [side * 0.02, 0.25]], 1.1 * furrow, 0.03)
        raised = self.control["brow_inner"] * 0.8 + self.control["brow_outer"] * 0.4 - 0.25
        for height, reach in ((-0.78, 0.5), (-0.9, 0.42)):
            self._crease([[-reach, height], [-0.2, height - 0.03], [0.2, height - 0.03], [reach, height]], raised, 0.02)
        for height in (0.1, 0.2):
            wide = 0.09 + 0.3 * (height - 0.1)
            self._crease(
                [[-wide, height], [0, height + 0.025], [wide, height]], self.control["nose_wrinkle"] - 0.2, 0.025
            )
        for corner, side in ((36, -1), (45, 1)):
            spot = self._model(self.points[corner]) + [side * 0.1, 0.03]
            for lift in (-0.07, 0.03):
                self._crease([spot, spot + [side * 0.11, lift]], self.control["squint"] - 0.25, 0.02)
        self.image.paste(bare, (0, 0), ImageChops.invert(self._inside(outline)))

    def _eyes(self) -> None:
        layer = Image.new("RGB", self.image.size, (250, 248, 244))
        mask = Image.new("L", self.image.size, 0)
        pen, hole = ImageDraw.Draw(layer), ImageDraw.Draw(mask)
        lids = []
        for first in (36, 42):
            eye = self.points[first : first + 6]
            upper, lower = _smooth(eye[:4]), _smooth(eye[[3, 4, 5, 0]])
            lids.append((upper, lower))
            hole.polygon(_flat(np.concatenate([upper, lower])), fill=255)
            centre = (eye[0] + eye[3]) / 2 + self._vector((0.25 * self.pose.turn[0], -0.012))
            pen.line(_flat(upper + self._vector((0, 0.03))), fill=(206, 202, 200), width=self._pixels(0.06))
            for radius, colour in (
                (0.125, _shade(self.looks.iris, 0.6)),
                (0.108, self.looks.iris),
                (0.056, (18, 16, 16)),
            ):
                _ellipse(pen, centre, radius * self.unit, radius * self.unit, colour)
            _ellipse(pen, centre + self._vector((-0.04, -0.04)), 0.026 * self.unit, 0.026 * self.unit, (255, 255, 255))
        self.image.paste(layer, (0, 0), mask)
        lash = (38, 28, 26)
        for upper, lower in lids:
            self._line(upper, lash, 0.05 if self.looks.long else 0.038)
            self._line(lower, _shade(self.looks.skin, 0.62), 0.016)
            lift = 0.05 + 0.02 * np.clip(self.control["eye_open"], -1, 1)
            self._line(upper[3:-3] + self._vector((0, -lift)), _shade(self.looks.skin, 0.7), 0.018)

    def _brows(self) -> None:
        for points, widths in ((self.points[17:22], (0.025, 0.085)), (self.points[22:27], (0.085, 0.025))):
            curve = _smooth(points)
            along = np.gradient(curve, axis=0)
            across = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
            half = np.linspace(*widths, len(curve))[:, None] * self.unit / (2.4 if self.looks.long else 1.9)
            self._fill(
                np.concatenate([curve + across * half, (curve - across * half)[::-1]]), _shade(self.looks.hair, 0.85)
            )

    def _nose(self) -> None:
        dark = _shade(self.looks.skin, 0.66)
        wing = self._vector((0.05, -0.06))
        base = self.points[31:36]
        left = np.stack(
            [base[0] + wing * [-0.2, 1.3], base[0] - self._vector((0.045, 0.0)), base[0] + self._vector((0.03, 0.02))]
        )
        right = np.stack(
            [
                base[4] + self._vector((-0.01, -0.08)),
                base[4] + self._vector((0.045, 0)),
                base[4] - self._vector((0.03, -0.02)),
            ]
        )
        for part in (left, right):
            self._line(_smooth(part), dark, 0.026)
        self._line(_smooth(base[1:4]), dark, 0.022)
        for nostril in (base[1], base[3]):
            _ellipse(
                self.pen,
                nostril - self._vector((0, 0.012)),
                0.045 * self.unit,
                0.024 * self.unit,
                _shade(self.looks.skin, 0.42),
            )

    def _mouth(self) -> None:
        red, green, blue = (0.55 * np.array(self.looks.skin) + 0.45 * np.array([176, 52, 62])).astype(int).tolist()
        lip: Colour = (red, green, blue)
        upper_out, lower_out = _smooth(self.points[48:55]), _smooth(self.points[[54, 55, 56, 57, 58, 59, 48]])
        upper_in, lower_in = _smooth(self.points[60:65]), _smooth(self.points[[64, 65, 66, 67, 60]])
        self._fill(np.concatenate([upper_out, upper_in[::-1]]), _shade(lip, 0.86))
        self._fill(np.concatenate([lower_out, lower_in[::-1]]), lip)
        shine = self.points[[58, 57, 56]] * 0.5 + self.points[[67, 66, 65]] * 0.5
        self._line(_smooth(shine), _shade(lip, 1.14), 0.03)
        inner = np.concatenate([upper_in, lower_in])
        gap = float(np.linalg.norm(self.points[66] - self.points[62])) / self.unit
        if gap > 0.03:
            layer = Image.new("RGB", self.image.size, (70, 22, 28))
            pen = ImageDraw.Draw(layer)
            deep = self._vector((0, min(0.14, 0.5 * gap)))
            tongue = self.points[66] + self._vector((0, 0.02))
            _ellipse(pen, tongue, 0.26 * self.unit, max(0.01, 0.3 * gap) * self.unit, (190, 88, 92))
            pen.polygon(_flat(np.concatenate([upper_in, (upper_in + deep)[::-1]])), fill=(250, 248, 240))
            self.image.paste(layer, (0, 0), self._inside(inner))
        ends = np.concatenate([self.points[48:49], self.points[60:65], self.points[54:55]])
        self._line(_smooth(ends), _shade(lip, 0.5), 0.024)

    # -- tools

    def _at(self, points: list[tuple[float, float]], *, depth: float | None = 0.0) -> Floats:
        """Model coordinates → pixels of the canvas; without a depth, on a skull round from side to side."""
        where = np.array([points])
        round_skull = 0.15 - 0.9 * np.clip(np.abs(where[0, :, 0]) / 1.13, 0, 1.2) ** 1.5
        placed = place(where, self.pose, round_skull if depth is None else np.full(len(points), depth))
        return np.asarray(placed[0] * FINER, dtype=np.float64)

    def _model(self, point: Floats) -> Floats:
        """A pixel of the canvas → coordinates of a flat face (depth 0, without turn and nod)."""
        z = complex(*(point / FINER - self.pose.origin[0])) / self.pose.unit[0] * np.exp(-1j * self.pose.tilt[0])
        return np.array([z.real, z.imag])

    def _vector(self, along: tuple[float, float]) -> Floats:
        z = complex(*along) * self.unit * np.exp(1j * self.pose.tilt[0])
        return np.array([z.real, z.imag])

    def _crease(self, points: list[Floats] | list[list[float]], strength: float, width: float) -> None:
        if strength > 0.05:
            flat = self.pose._replace(turn=self.pose.turn * 0, nod=self.pose.nod * 0)
            curve = place(np.array([points]), flat, np.zeros(len(points)))[0] * FINER
            self._line(_smooth(curve), _shade(self.looks.skin, 1 - 0.36 * min(strength, 1.0)), width)

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self.unit))

    def _inside(self, outline: Floats) -> Image.Image:
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).polygon(_flat(outline), fill=255)
        return mask

    def _fill(self, points: Floats, colour: Colour) -> None:
        self.pen.polygon(_flat(points), fill=colour)

    def _line(self, points: Floats, colour: Colour, width: float) -> None:
        self.pen.line(_flat(points), fill=colour, width=self._pixels(width), joint="curve")
        for end in (points[0], points[-1]):
            _ellipse(self.pen, end, self._pixels(width) / 2 - 0.5, self._pixels(width) / 2 - 0.5, colour)

    def _disk(self, centre: Floats, radius: float, colour: Colour, *, stretch: float) -> None:
        _ellipse(self.pen, centre, radius * self.unit, radius * stretch * self.unit, colour)


def _ellipse(pen: ImageDraw.ImageDraw, centre: Floats, wide: float, high: float, colour: Colour) -> None:
    pen.ellipse([centre[0] - wide, centre[1] - high, centre[0] + wide, centre[1] + high], fill=colour)


def _flat(points: Floats) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = (int(np.clip(channel * factor, 0, 255)) for channel in colour)
    return r, g, b


def _smooth(points: Floats, *, closed: bool = False) -> Floats:
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
