"""How an array of one sample is to be taken: as one step, or as a sequence of steps."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mrpnkit.errors import InputError

Kind = Literal["auto", "vector", "sequence"]


def as_steps(array: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """An array of one sample as steps (T, ...).

    ``"vector"``: the array is one step. ``"sequence"``: its first axis is time, and single values become steps of
    width 1. ``"auto"``: one axis is a vector, more are a sequence.

    >>> vector = np.zeros(3)
    >>> as_steps(vector, "auto").shape, as_steps(vector, "sequence").shape, as_steps(np.zeros((5, 3)), "auto").shape
    ((1, 3), (3, 1), (5, 3))
    """
    if array.ndim == 0:
        array = array[None]
    if kind == "vector" or (kind == "auto" and array.ndim == 1):
        return array[None]
    return array[:, None] if array.ndim == 1 else array


def numbers(values: Any, where: str) -> NDArray[Any]:
    """Nested lists of numbers as an array.

    Raises:
        InputError: lists of different lengths, or something that is no number.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{where} is no regular array: {error}") from error
    if array.dtype == object and array.size:
        try:
            array = np.stack([numbers(value, where) for value in array.tolist()]) if array.ndim else array
        except ValueError as error:
            raise InputError(f"{where} is no regular array: {error}") from error
    if array.size and array.dtype.kind not in "fiub":
        raise InputError(f"{where} is no array of numbers, but of {array.dtype}, such as {array.flat[0]!r}.")
    return array if array.size else array.astype(np.float32)
