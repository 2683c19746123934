"""What a balancer may do in a training, and how a trainer lets it.

A balancer is called with the weighted losses and gives the one that is differentiated. Some do more: they change
gradients, look at the model, or learn from an epoch. Each of these is a method that a balancer may have; the trainer
asks :class:`Steering`, which does the usual thing where a balancer has none.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from torch import Tensor, nn

from mrpnkit.outputs import MRPNOutput
from mrpnkit.processes import processes, sum_over_processes


class Step(NamedTuple):
    """A training step before its backward pass.

    ``losses`` are the weighted ones by ``target/head``, ``total`` what the balancer made of them. ``counts`` tells over
    how many samples each loss is the mean, in a process on average: where it is 0, the loss is 0 and says nothing.
    Without it all losses have samples. ``weights`` are those of the objective that are in the losses: where one is 0,
    the loss is 0 and says nothing either. Without it none is.
    """

    output: MRPNOutput
    labels: Mapping[str, Tensor]
    losses: Mapping[str, Tensor]
    total: Tensor
    counts: Mapping[str, Tensor] | None = None
    weights: Mapping[str, float] | None = None


@runtime_checkable
class Begins(Protocol):
    """Has something of a training that the next must not inherit."""

    def begin(self) -> None:
        """Forgets an earlier training: the balancer is then as it was built."""


@runtime_checkable
class LooksAtModel(Protocol):
    """Is shown the model before each training, once or more, and may refuse it."""

    def attach(self, model: nn.Module) -> None:
        """The model without what several processes wrap around it; raises InputError where it cannot be balanced."""


@runtime_checkable
class LooksAtTargets(Protocol):
    """Is told what the targets are, each time before it is shown the model, and may refuse them."""

    def look_at(self, kinds: Mapping[str, str]) -> None:
        """The kind of each target by name: classification, multilabel, regression or ordinal."""


@runtime_checkable
class ActsOnGradients(Protocol):
    """Does the backward pass itself."""

    def backward(self, step: Step) -> None:
        """Leaves gradients in the model's parameters, the same in all processes.

        A backward pass over a sum averages gradients over processes by itself; what is added by hand is averaged by
        :func:`averaged`.
        """


@runtime_checkable
class ActsOverEpochs(Protocol):
    """Learns from an epoch."""

    def end_epoch(self, train: Mapping[str, float], validation: Mapping[str, float] | None) -> None:
        """Mean training losses by ``target/head``, and validation metrics by ``target/head/metric``, if there are.

        Among the latter, ``target/head/term`` is the validation samples' mean of the very loss that ``train`` has; the
        metric ``loss`` has no class weights, smoothing or criterion. Either is NaN where no sample was there.
        """


@runtime_checkable
class Remembers(Protocol):
    """Has a state, which is saved and resumed with that of the training."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, texts, lists and dicts."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a state of :meth:`state_dict`; its tensors are on the CPU."""


class Steering:
    """The optional methods of a balancer, or what is done without them.

    Args:
        balancer: any callable, or None for the sum.
        model: what is trained, without what several processes wrap around it.
        kinds: of the targets, by name.
    """

    def __init__(
        self,
        balancer: Callable[[Mapping[str, Tensor]], Tensor] | None,
        model: nn.Module,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.balancer = cast(object, balancer)
        self.model, self.kinds = model, kinds
        self.begin()

    def begin(self) -> None:
        """Before a training: the balancer forgets an earlier one, and is shown targets and model.

        Done when this is built, so that a balancer refuses early, and again by the trainer before its first step: other
        trainings with the same balancer may lie in between.
        """
        if isinstance(self.balancer, Begins):
            self.balancer.begin()
        if isinstance(self.balancer, LooksAtTargets) and self.kinds is not None:
            self.balancer.look_at(self.kinds)
        if isinstance(self.balancer, LooksAtModel):
            self.balancer.attach(self.model)

    @property
    def learns(self) -> bool:
        """Whether the balancer learns from epochs."""
        return isinstance(self.balancer, ActsOverEpochs)

    def backward(self, step: Step) -> None:
        """The backward pass."""
        if isinstance(self.balancer, ActsOnGradients):
            self.balancer.backward(step)
        else:
            step.total.backward()

    def end_epoch(self, train: Mapping[str, float], validation: Mapping[str, float] | None) -> None:
        """Tells the balancer what the epoch gave."""
        if isinstance(self.balancer, ActsOverEpochs):
            self.balancer.end_epoch(train, validation)

    def state_dict(self) -> dict[str, Any]:
        """The balancer's state, empty where it has none."""
        return self.balancer.state_dict() if isinstance(self.balancer, Remembers) else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a state of :meth:`state_dict`, whatever the balancer did since."""
        self.begin()
        if isinstance(self.balancer, Remembers):
            self.balancer.load_state_dict(state)


def averaged(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes; it must be detached."""
    return sum_over_processes(values) / processes() if processes() > 1 else values
