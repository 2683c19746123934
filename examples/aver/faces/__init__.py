"""Faces in movies: found on reduced key pictures, followed between them, smoothed, and cropped to a square.

A box is left, top, right, bottom in pixels of the upright picture; right and bottom lie just outside it, as the
ends of Python's slices do.
"""

from examples.aver.faces.boxes import inside_share, iou, scaled, squares
from examples.aver.faces.crop import crop
from examples.aver.faces.detectors import DETECTORS, Detection, Detector, DlibCnn, DlibHog, WholePicture
from examples.aver.faces.find import FacePath, FaceSettings, find_face
from examples.aver.faces.reduced import Reduced, reduce_movie

__all__ = [
    "DETECTORS",
    "Detection",
    "Detector",
    "DlibCnn",
    "DlibHog",
    "FacePath",
    "FaceSettings",
    "Reduced",
    "WholePicture",
    "crop",
    "find_face",
    "inside_share",
    "iou",
    "reduce_movie",
    "scaled",
    "squares",
]
