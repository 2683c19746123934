"""Analysis: what follows from what the heads of trained networks said; where fusion interferes, and why."""

from mrpnkit.analysis.calibration import Agreement, Bin, Calibration, agreement, calibration
from mrpnkit.analysis.differences import Difference, paired_difference, t_probability, t_quantile
from mrpnkit.analysis.interference import Cell, Interference, interference
from mrpnkit.analysis.outcomes import Outcomes
from mrpnkit.analysis.ranking import Rank, ranking
from mrpnkit.analysis.residual import Residuals, inspect_residuals
from mrpnkit.analysis.significance import Interval, bootstrap, holm, mcnemar
from mrpnkit.analysis.subsets import Worth, judge_subsets, shapley, subsets_of, worth

__all__ = [
    "Agreement",
    "Bin",
    "Calibration",
    "Cell",
    "Difference",
    "Interference",
    "Interval",
    "Outcomes",
    "Rank",
    "Residuals",
    "Worth",
    "agreement",
    "bootstrap",
    "calibration",
    "holm",
    "inspect_residuals",
    "interference",
    "judge_subsets",
    "mcnemar",
    "paired_difference",
    "ranking",
    "shapley",
    "subsets_of",
    "t_probability",
    "t_quantile",
    "worth",
]
