"""The paper's system on pixels and sound: its options, runs, tables and figures.

A corpus of this system has the modality ``video``, uint8 frames (T, H, W, 3) of face crops, and ``audio``, samples at
16 kHz, one a step; the target ``emotion``; and the groups ``actor`` and ``sex``.
"""

from examples.aver.paper.options import Options, Schedule, System, Weights

__all__ = ["Options", "Schedule", "System", "Weights"]
