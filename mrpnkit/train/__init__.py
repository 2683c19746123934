"""Training and evaluation on Hugging Face accelerate."""

from mrpnkit.train.evaluation import Evaluation, evaluate
from mrpnkit.train.gradients import GradientRecord, GradientRecorder, conflict_share, read_gradients
from mrpnkit.train.progress import EpochReport
from mrpnkit.train.state import load_weights, marks_of, save_weights
from mrpnkit.train.trainer import Trainer

__all__ = [
    "EpochReport",
    "Evaluation",
    "GradientRecord",
    "GradientRecorder",
    "Trainer",
    "conflict_share",
    "evaluate",
    "load_weights",
    "marks_of",
    "read_gradients",
    "save_weights",
]
