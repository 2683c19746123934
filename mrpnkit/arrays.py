"""NumPy's arrays as annotations of shapes name them: ``Float64[Floats, "samples classes"]``.

Not :data:`numpy.typing.NDArray`, which from NumPy 2.5 on is an alias that only type checkers see through, and which
jaxtyping then does not take for an array.
"""

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
