"""FER-2013: its three forms give the same pictures, copies are left out, faces are warped as asked for."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from examples.aver.pretrain.faces import CLASSES, OFFICIAL, PARTS, FaceSplits, read_faces, without_copies
from examples.aver.pretrain.warp import Warp, warped
from mrpnkit.errors import CorpusError

PER_CLASS = 12
USAGE = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
STILL = Warp(degrees=0, scale=0, shift=0, light=0, contrast=0, erase=0)


def pictures(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures of a part, and their labels in the order of :data:`CLASSES`."""
    generator = np.random.default_rng(PARTS.index(part))
    count = PER_CLASS * len(CLASSES)
    return generator.integers(0, 256, (count, 16, 16), dtype=np.uint8), np.arange(count) % len(CLASSES)


def as_npz(folder: Path) -> Path:
    """Classes in an order of their own, so that their names decide and not their numbers."""
    order = list(reversed(CLASSES))
    arrays = {"classes": np.array(order)}
    for part in PARTS:
        x, y = pictures(part)
        arrays[f"{part}_x"], arrays[f"{part}_y"] = x, np.array([order.index(CLASSES[label]) for label in y])
    np.savez(folder / "fer2013.npz", **arrays)  # type: ignore[arg-type]
    return folder / "fer2013.npz"


def as_csv(folder: Path) -> Path:
    with (folder / "fer2013.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for part in PARTS:
            for x, y in zip(*pictures(part), strict=True):
                writer.writerow([OFFICIAL.index(CLASSES[y]), " ".join(map(str, x.ravel())), USAGE[part]])
    return folder / "fer2013.csv"


def as_folders(folder: Path, parts: tuple[str, ...] = PARTS) -> Path:
    for part in parts:
        for place, (x, y) in enumerate(zip(*pictures(part), strict=True)):
            target = folder / part / CLASSES[y] / f"{place:04d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x).save(target)
    return folder


def sorted_pixels(splits: FaceSplits, part: str) -> list[tuple[int, bytes]]:
    faces = getattr(splits, part)
    return sorted((int(label), picture.tobytes()) for picture, label in zip(*faces, strict=True))


@pytest.mark.parametrize("write", [as_npz, as_csv, as_folders])
def test_all_forms_give_the_same(write: Callable[[Path], Path], tmp_path: Path) -> None:
    splits = read_faces(write(tmp_path))
    for part in PARTS:
        expected = sorted((int(y), x.tobytes()) for x, y in zip(*pictures(part), strict=True))
        assert sorted_pixels(splits, part) == expected


def test_folders_without_validation_give_up_a_tenth_of_each_class(tmp_path: Path) -> None:
    splits = read_faces(as_folders(tmp_path, ("train", "test")))
    assert np.bincount(splits.validation.labels).tolist() == [1] * 7
    assert np.bincount(splits.train.labels).tolist() == [PER_CLASS - 1] * 7
    both = sorted(sorted_pixels(splits, "train") + sorted_pixels(splits, "validation"))
    assert both == sorted((int(y), x.tobytes()) for x, y in zip(*pictures("train"), strict=True))
    assert "tenth" in str(splits.about["parts"])


def test_copies_are_left_out_of_what_is_trained_and_selected_on(tmp_path: Path) -> None:
    splits = read_faces(as_npz(tmp_path))
    splits.train.pictures[3] = splits.test.pictures[5]
    splits.train.pictures[4] = splits.validation.pictures[6]
    splits.validation.pictures[7] = splits.test.pictures[5]
    splits.train.pictures[9] = splits.train.pictures[8]  # a copy within training is none of the test's
    clean = without_copies(splits)
    assert [len(getattr(clean, part).labels) for part in PARTS] == [82, 83, 84]
    assert (clean.about["left_out_of_train"], clean.about["left_out_of_validation"]) == (2, 1)
    keys = {part: {x.tobytes() for x in getattr(clean, part).pictures} for part in PARTS}
    assert not keys["train"] & keys["test"] and not keys["train"] & keys["validation"]  # noqa: PT018
    assert not keys["validation"] & keys["test"]
    np.testing.assert_array_equal(clean.train.labels, np.delete(splits.train.labels, [3, 4]))


def test_the_real_file(shared_data: Path) -> None:
    splits = without_copies(read_faces(shared_data / "fer2013.npz"))
    assert len(splits.test.labels) == 3589
    assert splits.about["left_out_of_train"] == 28709 - len(splits.train.labels) > 0
    assert splits.test.pictures.shape == (3589, 48, 48)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder / "nothing.npz", "no such file or folder"),
        (lambda folder: _text(folder / "faces.txt", "x"), "expected an .npz, a .csv or a folder of pictures, got .txt"),
        (lambda folder: _text(folder / "f.csv", "a,b\n"), r"expected the columns emotion, pixels and Usage, got \['a'"),
        (
            lambda folder: _text(folder / "f.csv", "emotion,pixels,Usage\n9,1 2 3 4,Training\n"),
            "line 2 cannot be read",
        ),
        (
            lambda folder: _text(folder / "f.csv", "emotion,pixels,Usage\n0,1 2 3,Training\n"),
            "line 2 cannot be read",
        ),
        (lambda folder: as_folders(folder, ("train",)), "has no folder 'test'"),
        (lambda folder: _one_class_less(folder), "has the classes .*; expected angry, disgust"),
        (lambda folder: _npz(folder, train_x=np.zeros((1, 4, 4))), "lacks the arrays train_y, validation_x"),
    ],
)
def test_what_is_no_fer2013_is_refused(make: Callable[[Path], Path], text: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=text):
        read_faces(make(tmp_path))


def _text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "f.npz", **arrays)  # type: ignore[arg-type]
    return folder / "f.npz"


def _one_class_less(folder: Path) -> Path:
    as_folders(folder)
    (folder / "train" / "angry").rename(folder / "elsewhere")
    return folder


def test_nothing_drawn_is_torch_s_enlargement() -> None:
    """Against ``interpolate``, as the extractor resizes in use; a face or its mirror image."""
    faces = torch.randint(0, 256, (32, 16, 16), dtype=torch.uint8)
    given = warped(faces, 24, STILL, torch.Generator().manual_seed(0))
    plain = torch.nn.functional.interpolate(faces[:, None].float() / 255, (24, 24), mode="bilinear")
    same = [torch.allclose(one, two.expand(3, -1, -1), atol=1e-4) for one, two in zip(given, plain, strict=True)]
    mirrored = [
        torch.allclose(one, two.flip(-1).expand(3, -1, -1), atol=1e-4) for one, two in zip(given, plain, strict=True)
    ]
    assert all(one != two for one, two in zip(same, mirrored, strict=True))
    assert 5 < sum(mirrored) < 27


def test_each_change_does_what_it_says() -> None:
    face = torch.full((200, 20, 20), 120, dtype=torch.uint8)
    face[:, 8:12, 8:12] = 200

    def run(**options: object) -> torch.Tensor:
        return warped(face, 20, replace(STILL, **options), torch.Generator().manual_seed(0))  # type: ignore[arg-type]

    plain = run()
    assert plain.shape == (200, 3, 20, 20)
    torch.testing.assert_close(plain[:, 0], plain[:, 2])
    light = (run(light=0.1) - plain)[:, 0, 0, 0]
    assert -0.1 <= light.min() < -0.08 < 0.08 < light.max() <= 0.1
    contrast = run(contrast=0.5)
    ratio = (contrast[:, 0, 10, 10] - contrast[:, 0, 0, 0]) / (plain[:, 0, 10, 10] - plain[:, 0, 0, 0])
    assert 1 / 1.5 <= ratio.min() < 0.75 < 1.35 < ratio.max() <= 1.5 + 1e-4
    erased = ((run(erase=0.5) - plain).abs() > 1e-6)[:, 0]
    share = erased.flatten(1).float().mean(1)
    assert 0.35 < (share > 0).float().mean() < 0.65
    assert share.max() < 0.5**2
    bright = (run(scale=0.5)[:, 0] > 0.65).flatten(1).sum(1)
    assert bright.min() < 10 < 25 < bright.max()
    rows = (run(shift=0.2)[:, 0] > 0.65).any(2).float().argmax(1)
    assert rows.min() < 6 < 10 < rows.max()


def test_the_same_generator_draws_the_same() -> None:
    faces = torch.randint(0, 256, (8, 16, 16), dtype=torch.uint8)
    one, two = (warped(faces, 20, Warp(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, warped(faces, 20, Warp(), torch.Generator().manual_seed(4)))


def test_the_command_goes_all_the_way_and_frames_timm_loads_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from examples.aver.__main__ import app
    from examples.aver.pretrain import fer2013
    from mrpnkit import Sequences
    from mrpnkit.extractors import FramesTimm

    recipe = fer2013.FaceRecipe
    monkeypatch.setattr(fer2013, "FaceRecipe", lambda: recipe(architecture="test_resnet"))
    out, result = tmp_path / "out", tmp_path / "result.json"
    arguments = ["--data", str(as_npz(tmp_path)), "--out", str(out), "--small", "--result", str(result)]
    shown = CliRunner().invoke(app, ["pretrain", "fer2013", *arguments], catch_exceptions=False)
    assert "test_accuracy:" in shown.output
    assert (out / "curve.png").stat().st_size > 1000
    content = json.loads(result.read_text())
    assert content["config"]["pictures"] == {"train": 84, "validation": 84, "test": 84}
    assert sum(map(sum, content["confusion"])) == 84
    assert len(content["history"]) == 2
    part = FramesTimm(1, architecture="test_resnet", weights=str(out / "best.safetensors"), size=(48, 48)).eval()
    grey = torch.randint(0, 256, (2, 112, 112), dtype=torch.uint8)
    assert part(Sequences.of([grey])).steps.shape == (2, part.out_features)
    again = CliRunner().invoke(app, ["pretrain", "fer2013", *arguments], catch_exceptions=False)
    assert "epoch" not in again.output  # finished before, only tested anew
    assert json.loads(result.read_text())["figures"]["test_accuracy"] == content["figures"]["test_accuracy"]


def test_the_table_of_the_competition_has_blanks_before_its_names(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    expected = read_faces(as_csv(tmp_path / "plain"), seed=0)
    lines = (tmp_path / "plain" / "fer2013.csv").read_text().splitlines()
    rows = [f"{label},{usage},{pixels}" for label, pixels, usage in (line.split(",") for line in lines[1:])]
    (tmp_path / "fer2013.csv").write_text("\ufeffemotion, Usage, pixels\n" + "\n".join(rows), encoding="utf-8")
    found = read_faces(tmp_path / "fer2013.csv", seed=0)
    assert all(sorted_pixels(found, part) == sorted_pixels(expected, part) for part in PARTS)


def test_a_result_names_the_parts_that_there_were(tmp_path: Path) -> None:
    from examples.aver.pretrain.fer2013 import FIRST, FaceOutcome
    from examples.aver.pretrain.outcomes import conclude_faces
    from examples.aver.pretrain.training import Recipe, Scores

    scores = Scores(torch.eye(7), torch.arange(7))
    history = [{"epoch": 1, "loss": 1.0, "validation_accuracy": 0.5, "seconds": 1.0}]
    said = []
    for parts in ("official", "as in the folders"):
        about = {"faces": {"parts": parts}, "cycles": []}
        outcome = FaceOutcome(torch.nn.Identity(), about, Recipe(), history, dict.fromkeys(FIRST, scores))
        (tmp_path / parts).mkdir()
        conclude_faces(outcome, tmp_path / parts, tmp_path / f"{parts}.json")
        config = json.loads((tmp_path / f"{parts}.json").read_text())["config"]
        said.append((config["selected_by"], config["test"]))
    assert said[0] == ("accuracy on the validation part (PublicTest), one view", "PrivateTest, once")
    assert said[1] == ("accuracy on the validation part, one view", "the test part, once")


@pytest.mark.parametrize(
    ("sizes", "text"), [("64-9", "expected such as 40:5,48:7,64:15"), ("64:0", "expected numbers of at least 1")]
)
def test_sizes_that_say_nothing_are_refused(sizes: str, text: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from examples.aver.__main__ import app

    arguments = ["pretrain", "fer2013", "--data", str(tmp_path), "--sizes", sizes]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 2
    assert text in shown.output


def test_cycles_are_read_from_the_command_line() -> None:
    from examples.aver.pretrain.commands import _cycles
    from examples.aver.pretrain.fer2013 import CYCLES

    assert _cycles("48:11,64:19") == CYCLES
    assert _cycles("64:9,80:5/64:6") == (((64, 9), (80, 5)), ((64, 6),))
    assert _cycles("40:5,48:7,64:15") == (((40, 5), (48, 7), (64, 15)),)


def test_views_are_averaged() -> None:
    """Against single views of pictures that are mirrored and shifted as numbers, before they are enlarged."""
    from examples.aver.pretrain.faces import Faces
    from examples.aver.pretrain.fer2013 import FaceRecipe, Views, face_network, face_scores

    recipe = FaceRecipe(architecture="test_resnet", training=replace(FaceRecipe().training, precision="float32"))
    network = face_network(recipe)
    grey = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)

    def scores(pictures: np.ndarray, views: Views) -> torch.Tensor:
        found = face_scores(network, Faces(pictures, np.zeros(5, np.int64)), 48, recipe, views)
        return found[views].probabilities

    wide = np.pad(grey, ((0, 0), (2, 2), (2, 2)), mode="edge")
    moved = [wide[:, row : row + 48, column : column + 48] for row, column in [(2, 2), (0, 2), (4, 2), (2, 0), (2, 4)]]
    mirrored = [picture[:, :, ::-1].copy() for picture in moved]
    singles = {place: scores(picture, "single") for place, picture in enumerate([*moved, *mirrored])}
    assert (singles[0] - singles[1]).abs().max() > 1e-5
    torch.testing.assert_close(scores(grey, "mirrored"), (singles[0] + singles[5]) / 2)
    torch.testing.assert_close(scores(grey, "shifted"), sum(singles.values()) / 10)
