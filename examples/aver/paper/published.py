"""The paper's own figures, typed from its text: Tables 1 to 4 of Chang and Skarbek (2021), arXiv:2107.10742v1.

All are accuracies in per cent under the paper's protocol: the epoch is selected on the actors that are reported. They
stand beside ours for comparison of the pattern, not of the level.
"""

from typing import NamedTuple

SOURCE = "Chang and Skarbek (2021), arXiv:2107.10742v1"

RAVDESS_FOLDS = ("1,2", "3,4", "5,6", "7,8", "9,10", "11,12", "13,14", "15,16", "17,18", "19,20", "21,22", "23,24")
"""Actors of the folds; A1,2 of the paper are the actors 1 and 2."""

CREMAD_FOLDS = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9")
"""The paper does not say which actors these are."""

TABLE_1 = {
    "AM(NT)": (70.8, 55.0, 57.5, 74.1, 43.5, 65.8, 59.8, 57.5, 57.5, 55.5, 68.3, 63.3),
    "AM(T)": (71.6, 77.5, 71.6, 90.0, 55.8, 69.1, 70.0, 69.1, 51.6, 63.3, 55.8, 68.3),
    "VM(NT)": (82.5, 70.0, 66.7, 74.1, 80.3, 63.3, 71.3, 60.0, 63.3, 70.8, 65.8, 70.8),
    "VM(T)": (86.6, 75.0, 70.6, 76.6, 87.3, 69.1, 73.3, 65.0, 64.1, 78.3, 66.6, 74.1),
    "JM(NT)": (90.8, 89.1, 85.2, 89.3, 78.5, 85.5, 77.5, 75.5, 76.3, 85.2, 82.8, 80.0),
    "JM(T)": (97.5, 90.3, 87.5, 97.5, 86.5, 87.5, 82.4, 79.6, 83.2, 89.0, 85.5, 84.2),
}
"""Table 1, RAVDESS: one modality or both (N0), with and without time augmentation."""

TABLE_2 = {
    "N0": (97.5, 90.3, 87.5, 97.5, 86.5, 87.5, 82.4, 79.6, 83.2, 89.0, 85.5, 84.2),
    "N1": (97.5, 89.1, 88.3, 97.5, 90.0, 90.0, 77.5, 89.1, 86.6, 92.8, 89.1, 90.6),
    "N2 (MRPN)": (97.5, 92.1, 90.8, 97.5, 91.4, 90.0, 84.3, 89.7, 89.8, 92.5, 90.6, 90.6),
}
"""Table 2, RAVDESS: the three networks."""

TABLE_3 = {
    "N0": (77.3, 81.3, 79.2, 74.8, 78.6, 82.0, 75.1, 79.5, 77.5),
    "N1": (72.6, 82.3, 77.3, 74.8, 74.2, 82.0, 74.8, 79.3, 75.8),
    "N2 (MRPN)": (79.5, 83.0, 83.0, 76.8, 81.9, 82.0, 80.0, 80.5, 78.6),
}
"""Table 3, CREMA-D: the three networks."""


class Mean(NamedTuple):
    """Mean accuracies of a row of Table 4; None where the paper has none."""

    ravdess: float | None
    cremad: float | None


TABLE_4 = {
    "N0 (ResNet-18 + LSTM), IA": Mean(83.20, 77.25),
    "N0 (ResNet-18 + LSTM), WO": Mean(85.20, 79.25),
    "N0 (ResNet-18 + LSTM), VA + AO": Mean(87.55, 81.30),
    "N2 (ResNet-18 + LSTM), VA + AO": Mean(90.8, 83.00),
    "N2 (ResNet-18 + Transformer), VA + AO": Mean(91.4, 83.15),
}
"""Table 4, the paper's own models; both data sets."""

TABLE_4_OTHERS = {
    "OpenFace/COVAREP features + LSTM, attention [7]": Mean(58.33, 65.00),
    "Dual attention + LSTM [30]": Mean(67.7, 74.00),
    "ResNet-101 + BiLSTM [33]": Mean(77.02, None),
    "Custom CNN [34]": Mean(None, 69.42),
    "Early cross-modal + MFCC + mel spectrogram [29]": Mean(83.6, None),
    "CNN + Fisher vector + metric learning [35]": Mean(None, 66.5),
    "Custom CNN + spectrogram [21] (audio)": Mean(79.5, None),
}
"""Table 4, what the paper quotes from others; numbers in brackets are the paper's references."""
