"""From a moving face of 68 points to pictures: skin, hair, eyes, brows, nose, mouth, folds and soft light.

Everything is drawn at three times the size and averaged down, which smooths the edges. Lengths in the code are in
inter-ocular distances of the face at hand unless they say pixels.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from examples.aver.synthetic.canvas import FINER, Canvas, Colour, corners, ellipse, shaded, smooth
from examples.aver.synthetic.face import FaceTrack, Floats, place

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
    return np.stack([_picture(Canvas(track, t, size=size, wall=looks.wall), looks) for t in range(len(track.points))])


def _picture(canvas: Canvas, looks: Appearance) -> NDArray[np.uint8]:
    """The finished frame, (size, size, 3), painted from the back to the front."""
    _wall(canvas, looks)
    if looks.long:
        _long_hair(canvas, looks)
    _body(canvas, looks)
    outline = _head(canvas, looks)
    _light(canvas, outline)
    _folds(canvas, looks, outline)
    _hair(canvas, looks, outline)
    _eyes(canvas, looks)
    _brows(canvas, looks)
    _nose(canvas, looks)
    _mouth(canvas, looks)
    return np.asarray(canvas.image.reduce(FINER), dtype=np.uint8)


# -- behind and around the face


def _wall(canvas: Canvas, looks: Appearance) -> None:
    ramp = np.linspace(1.04, 0.86, canvas.image.height)[:, None, None] * np.array(looks.wall)
    column = np.clip(ramp, 0, 255).astype(np.uint8)
    canvas.image.paste(Image.fromarray(column).resize(canvas.image.size))


def _long_hair(canvas: Canvas, looks: Appearance) -> None:
    left = [(-0.5, -1.5), (-1.25, -0.9), (-1.5, 0.2), (-1.5, 1.3), (-1.25, 2.2)]
    right = [(1.25, 2.2), (1.5, 1.3), (1.5, 0.2), (1.25, -0.9), (0.5, -1.5)]
    canvas.fill(smooth(canvas.at([*left, *right], depth=-0.6), closed=True), shaded(looks.hair, 0.8))


def _body(canvas: Canvas, looks: Appearance) -> None:
    shoulders = [(-3.2, 4.2), (-2.4, 2.75), (-0.75, 2.2), (0.75, 2.2), (2.4, 2.75), (3.2, 4.2)]
    straight = canvas.pose._replace(tilt=canvas.pose.tilt * 0.2, turn=canvas.pose.turn * 0, nod=canvas.pose.nod * 0)
    neck = canvas.at([(-0.55, 1.0), (-0.58, 2.2), (0, 2.6), (0.58, 2.2), (0.55, 1.0)], depth=-0.5)
    canvas.fill(place(np.array([shoulders]), straight, np.zeros(6))[0] * FINER, looks.shirt)
    canvas.fill(neck, shaded(looks.skin, 0.78))


def _head(canvas: Canvas, looks: Appearance) -> Floats:
    jaw = canvas.points[:17]
    middle, half = (jaw[0] + jaw[16]) / 2, (jaw[16] - jaw[0]) / 2
    up = np.array([half[1], -half[0]])
    angle = np.linspace(0, np.pi, 24)[1:-1, None]
    skull = middle + half * np.cos(angle) + 1.22 * up * np.sin(angle)
    for side in () if looks.long else (-1, 1):
        ear = canvas.at([(side * 1.15, 0.25)], depth=-0.75)[0]
        canvas.disk(ear, 0.2, shaded(looks.skin, 0.86), stretch=1.5)
    outline = np.concatenate([smooth(jaw), skull])
    canvas.fill(outline, looks.skin)
    return outline


def _light(canvas: Canvas, outline: Floats) -> None:
    """Roundness, eye sockets, the shade of nose and lip, red cheeks; laid over the skin by multiplication."""
    rows, columns = np.mgrid[: canvas.size : 2, : canvas.size : 2] + 0.5
    z = (columns - canvas.pose.origin[0, 0]) + 1j * (rows - canvas.pose.origin[0, 1])
    z = z / canvas.pose.unit[0] * np.exp(-1j * canvas.pose.tilt[0])
    x, y = z.real, z.imag

    def spot(where: tuple[float, float], wide: float, high: float) -> Floats:
        return np.asarray(np.exp(-(((x - where[0]) / wide) ** 2) - ((y - where[1]) / high) ** 2))

    round_off = np.clip(((x + 0.2) / 1.45) ** 2 + ((y - 0.15) / 1.95) ** 2, 0, 1.4)
    turn, nod = canvas.pose.turn[0], canvas.pose.nod[0]
    lip = canvas.model(canvas.points[57])
    shade = 1.05 - 0.24 * round_off**1.5
    for side in (-0.5, 0.5):
        shade = shade - 0.1 * spot((side, -0.08), 0.34, 0.2)
    shade = shade - 0.1 * spot((0.14 + turn * 0.5, 0.5), 0.1, 0.3) - 0.12 * spot((lip[0], lip[1] + 0.1), 0.25, 0.07)
    shade = (
        shade + 0.07 * spot((-0.05 + 0.5 * turn, 0.45 + 0.4 * nod), 0.09, 0.25) + 0.05 * spot((-0.1, -0.75), 0.5, 0.25)
    )
    red = sum(spot((side * 0.68, 0.66 - 0.08 * canvas.control["smile"]), 0.28, 0.2) for side in (-1, 1))
    blush = red * (0.06 + 0.05 * np.clip(canvas.control["smile"], 0, 1))
    light = np.stack([shade, shade - blush, shade - blush], axis=-1)
    over = Image.fromarray(np.clip(light * 242, 0, 255).astype(np.uint8)).resize(
        canvas.image.size, Image.Resampling.BILINEAR
    )
    canvas.image.paste(ImageChops.multiply(canvas.image, over), (0, 0), canvas.inside(outline))


def _hair(canvas: Canvas, looks: Appearance, outline: Floats) -> None:
    middle = canvas.at([(0, 0.1)])[0]
    skull = outline[smooth(canvas.points[:17]).shape[0] :]
    outer = middle + (skull - middle) * (1.09 if looks.long else 1.07)
    if looks.long:
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
    canvas.fill(np.concatenate([smooth(canvas.at(line, depth=None)), outer]), looks.hair)
    sheen = canvas.at([(-0.75, -1.12), (-0.35, -1.25), (0.1, -1.3)], depth=-0.75)
    canvas.line(smooth(sheen), shaded(looks.hair, 1.18), 0.05)


# -- the face


def _folds(canvas: Canvas, looks: Appearance, outline: Floats) -> None:
    """Lines that come and go with the expression, on the face and not beyond it."""
    bare = canvas.image.copy()
    fold = max(canvas.control["smile"], 1.1 * canvas.control["upper_lip"], 0.8 * canvas.control["nose_wrinkle"], 0.0)
    for corner, wing, side in ((48, 31, -1), (54, 35, 1)):
        start = canvas.model(canvas.points[wing]) + [side * 0.13, -0.02]
        end = canvas.model(canvas.points[corner]) + [side * 0.15, 0.0]
        bend = (start + end) / 2 + [side * 0.07, -0.02]
        _crease(canvas, looks, [start, bend, end], 0.9 * fold, 0.028)
        pulled = canvas.model(canvas.points[corner]) + [side * 0.06, 0.08]
        _crease(canvas, looks, [pulled, pulled + [side * 0.02, 0.1]], 0.9 * canvas.control["frown"], 0.03)
    furrow = canvas.control["brow_furrow"] - 0.2
    for brow, side in ((21, -1), (22, 1)):
        inner = canvas.model(canvas.points[brow])
        top = np.array([side * 0.07, inner[1] - 0.14])
        _crease(canvas, looks, [top, top + [side * -0.015, 0.13], top + [side * 0.02, 0.25]], 1.1 * furrow, 0.03)
    raised = canvas.control["brow_inner"] * 0.8 + canvas.control["brow_outer"] * 0.4 - 0.25
    for height, reach in ((-0.78, 0.5), (-0.9, 0.42)):
        _crease(
            canvas,
            looks,
            [[-reach, height], [-0.2, height - 0.03], [0.2, height - 0.03], [reach, height]],
            raised,
            0.02,
        )
    for height in (0.1, 0.2):
        wide = 0.09 + 0.3 * (height - 0.1)
        _crease(
            canvas,
            looks,
            [[-wide, height], [0, height + 0.025], [wide, height]],
            canvas.control["nose_wrinkle"] - 0.2,
            0.025,
        )
    for corner, side in ((36, -1), (45, 1)):
        spot = canvas.model(canvas.points[corner]) + [side * 0.1, 0.03]
        for lift in (-0.07, 0.03):
            _crease(canvas, looks, [spot, spot + [side * 0.11, lift]], canvas.control["squint"] - 0.25, 0.02)
    canvas.image.paste(bare, (0, 0), ImageChops.invert(canvas.inside(outline)))


def _crease(
    canvas: Canvas, looks: Appearance, points: list[Floats] | list[list[float]], strength: float, width: float
) -> None:
    if strength > 0.05:
        flat = canvas.pose._replace(turn=canvas.pose.turn * 0, nod=canvas.pose.nod * 0)
        curve = place(np.array([points]), flat, np.zeros(len(points)))[0] * FINER
        canvas.line(smooth(curve), shaded(looks.skin, 1 - 0.36 * min(strength, 1.0)), width)


def _eyes(canvas: Canvas, looks: Appearance) -> None:
    layer = Image.new("RGB", canvas.image.size, (250, 248, 244))
    mask = Image.new("L", canvas.image.size, 0)
    pen, hole = ImageDraw.Draw(layer), ImageDraw.Draw(mask)
    lids = []
    for first in (36, 42):
        eye = canvas.points[first : first + 6]
        upper, lower = smooth(eye[:4]), smooth(eye[[3, 4, 5, 0]])
        lids.append((upper, lower))
        hole.polygon(corners(np.concatenate([upper, lower])), fill=255)
        centre = (eye[0] + eye[3]) / 2 + canvas.vector((0.25 * canvas.pose.turn[0], -0.012))
        pen.line(corners(upper + canvas.vector((0, 0.03))), fill=(206, 202, 200), width=canvas.pixels(0.06))
        for radius, colour in (
            (0.125, shaded(looks.iris, 0.6)),
            (0.108, looks.iris),
            (0.056, (18, 16, 16)),
        ):
            ellipse(pen, centre, radius * canvas.unit, radius * canvas.unit, colour)
        ellipse(pen, centre + canvas.vector((-0.04, -0.04)), 0.026 * canvas.unit, 0.026 * canvas.unit, (255, 255, 255))
    canvas.image.paste(layer, (0, 0), mask)
    lash = (38, 28, 26)
    for upper, lower in lids:
        canvas.line(upper, lash, 0.05 if looks.long else 0.038)
        canvas.line(lower, shaded(looks.skin, 0.62), 0.016)
        lift = 0.05 + 0.02 * np.clip(canvas.control["eye_open"], -1, 1)
        canvas.line(upper[3:-3] + canvas.vector((0, -lift)), shaded(looks.skin, 0.7), 0.018)


def _brows(canvas: Canvas, looks: Appearance) -> None:
    for points, widths in ((canvas.points[17:22], (0.025, 0.085)), (canvas.points[22:27], (0.085, 0.025))):
        curve = smooth(points)
        along = np.gradient(curve, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
        half = np.linspace(*widths, len(curve))[:, None] * canvas.unit / (2.4 if looks.long else 1.9)
        canvas.fill(np.concatenate([curve + across * half, (curve - across * half)[::-1]]), shaded(looks.hair, 0.85))


def _nose(canvas: Canvas, looks: Appearance) -> None:
    dark = shaded(looks.skin, 0.66)
    wing = canvas.vector((0.05, -0.06))
    base = canvas.points[31:36]
    left = np.stack(
        [base[0] + wing * [-0.2, 1.3], base[0] - canvas.vector((0.045, 0.0)), base[0] + canvas.vector((0.03, 0.02))]
    )
    right = np.stack(
        [
            base[4] + canvas.vector((-0.01, -0.08)),
            base[4] + canvas.vector((0.045, 0)),
            base[4] - canvas.vector((0.03, -0.02)),
        ]
    )
    for part in (left, right):
        canvas.line(smooth(part), dark, 0.026)
    canvas.line(smooth(base[1:4]), dark, 0.022)
    for nostril in (base[1], base[3]):
        ellipse(
            canvas.pen,
            nostril - canvas.vector((0, 0.012)),
            0.045 * canvas.unit,
            0.024 * canvas.unit,
            shaded(looks.skin, 0.42),
        )


def _mouth(canvas: Canvas, looks: Appearance) -> None:
    red, green, blue = (0.55 * np.array(looks.skin) + 0.45 * np.array([176, 52, 62])).astype(int).tolist()
    lip: Colour = (red, green, blue)
    upper_out, lower_out = smooth(canvas.points[48:55]), smooth(canvas.points[[54, 55, 56, 57, 58, 59, 48]])
    upper_in, lower_in = smooth(canvas.points[60:65]), smooth(canvas.points[[64, 65, 66, 67, 60]])
    canvas.fill(np.concatenate([upper_out, upper_in[::-1]]), shaded(lip, 0.86))
    canvas.fill(np.concatenate([lower_out, lower_in[::-1]]), lip)
    shine = canvas.points[[58, 57, 56]] * 0.5 + canvas.points[[67, 66, 65]] * 0.5
    canvas.line(smooth(shine), shaded(lip, 1.14), 0.03)
    inner = np.concatenate([upper_in, lower_in])
    gap = float(np.linalg.norm(canvas.points[66] - canvas.points[62])) / canvas.unit
    if gap > 0.03:
        layer = Image.new("RGB", canvas.image.size, (70, 22, 28))
        pen = ImageDraw.Draw(layer)
        deep = canvas.vector((0, min(0.14, 0.5 * gap)))
        tongue = canvas.points[66] + canvas.vector((0, 0.02))
        ellipse(pen, tongue, 0.26 * canvas.unit, max(0.01, 0.3 * gap) * canvas.unit, (190, 88, 92))
        pen.polygon(corners(np.concatenate([upper_in, (upper_in + deep)[::-1]])), fill=(250, 248, 240))
        canvas.image.paste(layer, (0, 0), canvas.inside(inner))
    ends = np.concatenate([canvas.points[48:49], canvas.points[60:65], canvas.points[54:55]])
    canvas.line(smooth(ends), shaded(lip, 0.5), 0.024)
