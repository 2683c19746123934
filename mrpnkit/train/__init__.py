"""Training and evaluation on Hugging Face accelerate."""

from mrpnkit.train.evaluation import Evaluation, evaluate
from mrpnkit.train.progress import EpochReport
from mrpnkit.train.state import load_weights, save_weights
from mrpnkit.train.trainer import Trainer

__all__ = ["EpochReport", "Evaluation", "Trainer", "evaluate", "load_weights", "save_weights"]
