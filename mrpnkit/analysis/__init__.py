"""Analysis: what follows from what the heads of trained networks said; where fusion interferes, and why."""

from mrpnkit.analysis.calibration import Agreement, Bin, Calibration, agreement, calibration
from mrpnkit.analysis.differences import Difference, paired_difference, t_probability, t_quantile
from mrpnkit.analysis.fuzziness import Fuzzy, fuzziness, temperature
from mrpnkit.analysis.interference import Cell, Interference, interference
from mrpnkit.analysis.outcomes import Outcomes
from mrpnkit.analysis.ranking import Rank, ranking
from mrpnkit.analysis.residual import Residuals, inspect_residuals
from mrpnkit.analysis.significance import (
    Interval,
    below_zero,
    bootstrap,
    cluster_t_test,
    holm,
    holm_of_candidates,
    mcnemar,
    sign_flip,
)
from mrpnkit.analysis.subsets import Worth, judge_subsets, shapley, subsets_of, worth

__all__ = [
    "Agreement",
    "Bin",
    "Calibration",
    "Cell",
    "Difference",
    "Fuzzy",
    "Interference",
    "Interval",
    "Outcomes",
    "Rank",
    "Residuals",
    "Worth",
    "agreement",
    "below_zero",
    "bootstrap",
    "calibration",
    "cluster_t_test",
    "fuzziness",
    "holm",
    "holm_of_candidates",
    "inspect_residuals",
    "interference",
    "judge_subsets",
    "mcnemar",
    "paired_difference",
    "ranking",
    "shapley",
    "sign_flip",
    "subsets_of",
    "t_probability",
    "t_quantile",
    "temperature",
    "worth",
]
