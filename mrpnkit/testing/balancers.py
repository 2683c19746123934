"""Checks of balancers."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from mrpnkit.aggregators import Last
from mrpnkit.balancing.steering import Steering, Step
from mrpnkit.errors import InputError
from mrpnkit.extractors import Linear
from mrpnkit.mrpn import MRPN, Branch, Network
from mrpnkit.objective import Objective
from mrpnkit.sequences import Sequences
from mrpnkit.targets import Classification

STEPS, EPOCHS = 3, 3
CLASSES = {"y": 3, "z": 4}


class _Training(NamedTuple):
    model: MRPN
    objective: Objective
    optimizer: torch.optim.Optimizer
    steering: Steering


def check_balancer(
    part: Callable[..., Any], options: Mapping[str, Any] | None = None, *, branches: Sequence[int] = (1, 2, 3, 4)
) -> None:
    """Checks all that mrpnkit asks of a balancer.

    Called with the losses of two targets, it gives a finite scalar that depends on them and leaves them as they were.
    It trains an N1 and an N2 of each number of branches over some epochs, with samples that lack branches or labels and
    a batch in which nobody has one of them: every parameter has a finite gradient after each step. N0 is trained or
    refused with an InputError that names the balancer. Its state is plain data, and a training that is put together
    anew from the states goes on bitwise the same. A training is bitwise the same where the balancer has been in another
    before, of another width.

    Args:
        part: a class, or a function that gives the balancer.
        options: of its constructor.
        branches: numbers of branches to try.

    Raises:
        AssertionError: a demand that is not met.
    """
    name = getattr(part, "__name__", "the balancer")

    def build() -> Any:
        return part(**(options or {}))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for number in branches:
            _check_call(build(), number, name)
            for network in ("n1", "n2"):
                _check_training(build, number, network, name)
            try:
                _check_training(build, number, "n0", name)
            except InputError as error:
                if type(build()).__name__ not in str(error):
                    raise AssertionError(f"{name} refuses N0; the text must name it: {error}") from error


def _check_call(balancer: Any, number: int, name: str) -> None:
    heads = ["fused", *(f"b{place}" for place in range(number))]
    losses = {f"{t}/{head}": torch.rand((), requires_grad=True) for t in CLASSES for head in heads}
    before = {key: float(loss.detach()) for key, loss in losses.items()}
    total = balancer(losses)
    if not isinstance(total, torch.Tensor) or total.shape != () or not total.isfinite():
        raise AssertionError(f"{name} must make a finite scalar of {len(losses)} losses, made {total!r}.")
    if not total.requires_grad:
        raise AssertionError(f"What {name} makes of the losses has no gradient.")
    if {key: float(loss.detach()) for key, loss in losses.items()} != before:
        raise AssertionError(f"{name} changed the losses that it was given.")


def _check_training(build: Callable[[], Any], number: int, network: Network, name: str) -> None:
    where = f"{network}, {number} branches"
    whole = _training(build, number, network)
    for epoch in range(EPOCHS):
        _epoch(whole, epoch, f"{name}, {where}")
    first = _training(build, number, network)
    _epoch(first, 0, f"{name}, {where}")
    _step(first, 1, 0, f"{name}, {where}")
    saved = _restored(
        {
            "model": first.model.state_dict(),
            "optimizer": first.optimizer.state_dict(),
            "own": first.steering.state_dict(),
        },
        name,
    )
    second = _training(build, number, network)
    second.model.load_state_dict(saved["model"])
    second.optimizer.load_state_dict(saved["optimizer"])
    second.steering.load_state_dict(saved["own"])
    for step in range(1, STEPS):
        _step(second, 1, step, f"{name}, {where}")
    _end(second, 1)
    for epoch in range(2, EPOCHS):
        _epoch(second, epoch, f"{name}, {where}")
    _assert_same(whole, second, f"{name}: a training that went on from its saved state is another ({where})")
    used = _training(build, number, network, width=4)
    for epoch in range(2):
        _epoch(used, epoch, f"{name}, {where}")
    again = _training(lambda: used.objective.balancer, number, network)
    for epoch in range(EPOCHS):
        _epoch(again, epoch, f"{name}, {where}")
    _assert_same(whole, again, f"{name}: a training depends on the one before it, which begin() must forget ({where})")


def _assert_same(first: _Training, second: _Training, text: str) -> None:
    for key, value in first.model.state_dict().items():
        if not torch.equal(value, second.model.state_dict()[key]):
            raise AssertionError(f"{text}: {key} differs.")


def _training(build: Callable[[], Any], number: int, network: Network, *, width: int = 3) -> _Training:
    torch.manual_seed(3)
    branches = {f"b{place}": Branch(Linear(2 + place, width), Last(width)) for place in range(number)}
    model = MRPN(branches, CLASSES, network=network).train()
    objective = Objective({name: Classification(n) for name, n in CLASSES.items()}, balancer=build())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    return _Training(model, objective, optimizer, Steering(objective.balancer, model))


def _epoch(training: _Training, epoch: int, where: str) -> None:
    for step in range(STEPS):
        _step(training, epoch, step, where)
    _end(training, epoch)


def _end(training: _Training, epoch: int) -> None:
    heads = [f"{target}/{head}" for target in CLASSES for head in ("fused", *training.model.sides)]
    train = {head: 1.0 / (1 + epoch + place) for place, head in enumerate(heads)}
    validation = {f"{head}/{what}": 1.5 * loss for head, loss in train.items() for what in ("loss", "term")}
    training.steering.end_epoch(train, validation)


def _step(training: _Training, epoch: int, step: int, where: str) -> None:
    model, objective, optimizer, steering = training
    generator = torch.Generator().manual_seed(100 * epoch + step)
    size = 8
    inputs = {}
    for place, name in enumerate(model.branches):
        lengths = (torch.rand(size, generator=generator) > 0.2).to(torch.int64)
        if step == 1 and place == 0:
            lengths = torch.zeros_like(lengths)
        inputs[name] = Sequences(torch.randn(int(lengths.sum()), 2 + place, generator=generator), lengths)
    labels = {t: torch.randint(-1, n, (size,), generator=generator) for t, n in CLASSES.items()}
    output = model(inputs)
    loss = objective(output, labels)
    optimizer.zero_grad()
    weights = {name: objective.weight_of(name) for name in loss.terms}
    steering.backward(Step(output, labels, objective.weighted(loss.terms), loss.total, loss.counts, weights))
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not parameter.grad.isfinite().all():
            what = "no gradient" if parameter.grad is None else "a gradient that is not finite"
            raise AssertionError(f"{where}: {name} has {what} after step {step} of epoch {epoch}.")
    optimizer.step()


def _restored(state: dict[str, Any], name: str) -> dict[str, Any]:
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        loaded: dict[str, Any] = torch.load(file, weights_only=True)
    except Exception as error:
        raise AssertionError(
            f"{name}: its state must be plain data, tensors, numbers, texts, lists, dicts: {error}"
        ) from error
    return loaded
