"""Ragged batches: the one data type of every modality.

A batch of B sequences of different lengths is stored without padding: the valid steps of all samples one after
another, and the length of each. A vector modality is a sequence of one step; a missing modality is a sequence of
no steps. Letters: B batch, S steps of all samples together, T steps of the longest sample, D features.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from mrpnkit.errors import InputError


class Padded(NamedTuple):
    """A rectangular view of a ragged batch: ``values`` (B, T, ...) and ``mask`` (B, T), True where valid."""

    values: Shaped[Tensor, "batch time *step"]
    mask: Bool[Tensor, "batch time"]


class Sequences(NamedTuple):
    """A batch of sequences of different lengths, without padding.

    ``steps`` is (S, ...): the valid steps of all samples, one after another. ``lengths`` is (B,), int64, and adds up
    to S. As a named tuple of tensors it is moved, pinned, gathered and exported by everything that knows tuples.

    >>> s = Sequences.of([torch.ones(3, 2), torch.zeros(0, 2), torch.ones(1, 2)])
    >>> s.lengths.tolist(), tuple(s.steps.shape), tuple(s.padded().values.shape)
    ([3, 0, 1], (4, 2), (3, 3, 2))
    """

    steps: Shaped[Tensor, "steps *step"]
    lengths: Int64[Tensor, "batch"]

    @classmethod
    def of(cls, samples: Sequence[Tensor]) -> "Sequences":
        """Joins samples of shape (T_i, ...) with equal trailing shapes and dtypes; T_i may be 0.

        Raises:
            InputError: no samples at all, a sample without a time axis, trailing shapes or types that differ.
        """
        if not samples:
            raise InputError("Sequences.of was given no samples; expected at least one tensor of shape (T, ...).")
        first = samples[0]
        for position, sample in enumerate(samples):
            if sample.ndim == 0:
                raise InputError(
                    f"Sequences.of: sample {position} is a scalar; expected a tensor of shape (T, ...). "
                    "A single vector is a sequence of one step: give vector[None]."
                )
            if sample.shape[1:] != first.shape[1:]:
                raise InputError(
                    f"Sequences.of: the steps of sample {position} have shape {tuple(sample.shape[1:])}, those of "
                    f"sample 0 have {tuple(first.shape[1:])}; all steps of a modality must have one shape."
                )
            if sample.dtype != first.dtype:
                raise InputError(
                    f"Sequences.of: sample {position} has type {sample.dtype}, sample 0 has {first.dtype}; convert "
                    "them to one type."
                )
        lengths = torch.tensor([sample.shape[0] for sample in samples], dtype=torch.int64, device=first.device)
        return cls(torch.cat(list(samples)), lengths)

    @classmethod
    def vectors(cls, features: Shaped[Tensor, "batch *step"]) -> "Sequences":
        """A vector modality: each of the B rows is a sequence of one step."""
        batch = features.shape[0]
        return cls(features, torch.ones(batch, dtype=torch.int64, device=features.device))

    @classmethod
    def absent(cls, batch: int, like: "Sequences | Tensor") -> "Sequences":
        """A modality that no sample of the batch has; steps shaped, typed and placed as those of ``like``."""
        steps = like.steps if isinstance(like, Sequences) else like
        return cls(steps[:0], torch.zeros(batch, dtype=torch.int64, device=steps.device))

    @classmethod
    def from_padded(cls, values: Shaped[Tensor, "batch time *step"], lengths: Int64[Tensor, "batch"]) -> "Sequences":
        """Drops the padding of a grid (B, T, ...): of row i only the first ``lengths[i]`` steps are kept."""
        if values.ndim < 2 or lengths.shape != values.shape[:1]:
            raise InputError(
                f"Sequences.from_padded: values {tuple(values.shape)} and lengths {tuple(lengths.shape)} do not fit; "
                "expected (B, T, ...) and (B,)."
            )
        if values.shape[0] and int(lengths.max()) > values.shape[1]:
            raise InputError(
                f"Sequences.from_padded: a length of {int(lengths.max())} was given for a grid of "
                f"{values.shape[1]} steps."
            )
        time = torch.arange(values.shape[1], device=values.device)
        return cls(values[time < lengths[:, None]], lengths)

    @property
    def batch_size(self) -> int:
        """B, the number of samples (``len()`` of a named tuple would be 2)."""
        return self.lengths.shape[0]

    @property
    def present(self) -> Bool[Tensor, "batch"]:
        """True where a sample has this modality, that is at least one step."""
        return self.lengths > 0

    @property
    def is_one_step_each(self) -> bool:
        """Whether this is known to be a vector modality that no sample lacks; on a GPU False, not to wait for it."""
        return (
            self.steps.shape[0] == self.lengths.shape[0]
            and self.lengths.device.type == "cpu"
            and bool((self.lengths == 1).all())
        )

    def check(self, name: str = "sequences") -> "Sequences":
        """Returns itself, or says what does not fit together. Waits for the device: not for the inner loop on a GPU.

        Raises:
            InputError: lengths that are negative, not int64 (B,), or do not add up to the number of steps.
        """
        if self.lengths.ndim != 1 or self.lengths.dtype != torch.int64:
            raise InputError(
                f"{name}: lengths have shape {tuple(self.lengths.shape)} and type {self.lengths.dtype}; expected (B,) "
                "of torch.int64."
            )
        if self.steps.ndim == 0:
            raise InputError(f"{name}: steps are a scalar; expected a tensor of shape (S, ...).")
        if (self.lengths < 0).any():
            raise InputError(f"{name}: lengths must not be negative, got {int(self.lengths.min())}.")
        total = int(self.lengths.sum())
        if total != self.steps.shape[0]:
            raise InputError(
                f"{name}: the lengths add up to {total}, but there are {self.steps.shape[0]} steps. Steps are stored "
                "without padding; a padded grid is converted by Sequences.from_padded(values, lengths)."
            )
        return self

    def with_steps(self, steps: Shaped[Tensor, "steps *out"]) -> "Sequences":
        """The same lengths with other steps: what a step-wise extractor returns."""
        return Sequences(steps, self.lengths)

    def sample_of_step(self) -> Int64[Tensor, "steps"]:
        """(S,): which sample each step belongs to."""
        samples = torch.arange(self.batch_size, device=self.lengths.device)
        return torch.repeat_interleave(samples, self.lengths, output_size=self.steps.shape[0])

    def starts(self) -> Int64[Tensor, "batch"]:
        """(B,): position in ``steps`` of each sample's first step."""
        return self.lengths.cumsum(0) - self.lengths

    def position_of_step(self) -> Int64[Tensor, "steps"]:
        """(S,): the place of each step within its own sample, from 0."""
        places = torch.arange(self.steps.shape[0], device=self.lengths.device)
        return places - torch.repeat_interleave(self.starts(), self.lengths, output_size=self.steps.shape[0])

    def padded(self, fill: float = 0.0) -> Padded:
        """The grid (B, T, ...) and its mask (B, T), True where valid; T is the longest length, and at least 1."""
        batch, longest = self.batch_size, max(1, int(self.lengths.max())) if self.batch_size else 1
        time = torch.arange(longest, device=self.lengths.device)
        mask = time < self.lengths[:, None]
        if self.steps.shape[0] == batch * longest:
            return Padded(self.steps.unflatten(0, (batch, longest)), mask)
        grid = self.steps.new_full((batch * longest, *self.steps.shape[1:]), fill)
        cells = self.sample_of_step() * longest + self.position_of_step()
        return Padded(grid.index_copy(0, cells, self.steps).unflatten(0, (batch, longest)), mask)

    def of_padded(self, values: Shaped[Tensor, "batch time *out"]) -> "Sequences":
        """The inverse of :meth:`padded` for a grid with this batch's lengths: keeps the valid steps of ``values``."""
        if self.steps.shape[0] == values.shape[0] * values.shape[1]:
            return Sequences(values.flatten(0, 1), self.lengths)
        cells = self.sample_of_step() * values.shape[1] + self.position_of_step()
        return Sequences(values.flatten(0, 1).index_select(0, cells), self.lengths)

    def reversed(self) -> "Sequences":
        """Every sample backwards in time, within its own length."""
        order = torch.repeat_interleave(
            2 * self.starts() + self.lengths - 1, self.lengths, output_size=self.steps.shape[0]
        ) - torch.arange(self.steps.shape[0], device=self.lengths.device)
        return Sequences(self.steps.index_select(0, order), self.lengths)

    def unbind(self) -> list[Tensor]:
        """The samples one by one, each (T_i, ...)."""
        return list(self.steps.split(self.lengths.tolist()))
