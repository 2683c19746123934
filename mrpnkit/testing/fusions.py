"""Checks of fusions."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.feature_norm import Present
from mrpnkit.outputs import Fused
from mrpnkit.sequences import Sequences
from mrpnkit.signature import Signature

FACTS = ("features", "targets", "sequences")
TARGETS = {"y": 3, "z": 4}
DEVIATION, DEVIATION_BFLOAT16 = 1e-4, 0.15


class Case(NamedTuple):
    """What a fusion is called with: g_m, masks, steps and side scores, one of each a branch."""

    features: list[Tensor]
    present: list[Present]
    sequences: list[Sequences]
    sides: list[dict[str, Tensor]]

    def of(self, row: int) -> "Case":
        """One sample alone."""
        return Case(
            [g[row : row + 1] for g in self.features],
            [None if mask is None else mask[row : row + 1] for mask in self.present],
            [Sequences.of([steps.unbind()[row]]) for steps in self.sequences],
            [{target: scores[row : row + 1] for target, scores in side.items()} for side in self.sides],
        )

    def to(self, dtype: torch.dtype) -> "Case":
        """The same in another type."""
        return Case(
            [g.to(dtype) for g in self.features],
            self.present,
            [steps.with_steps(steps.steps.to(dtype)) for steps in self.sequences],
            [{target: scores.to(dtype) for target, scores in side.items()} for side in self.sides],
        )


def check_fusion(
    part: Callable[..., nn.Module], options: Mapping[str, Any] | None = None, *, branches: Sequence[int] = (1, 2, 3, 4)
) -> None:
    """Checks all that mrpnkit asks of a fusion.

    Built for the widths of the branches and the numbers of scores of two targets, it gives scores (B, C) for each, or
    says with an InputError that names it that it is not defined for so many branches. It is called with what its
    attribute ``reads`` asks for. Values are finite for batches of one, samples that lack some branches or all, and a
    branch that nobody has; masks that say that everybody is there change nothing. In evaluation a sample does not
    depend on the others. In training every parameter gets a finite gradient, whoever is absent. The input is left as it
    was, the state comes back from a state dict, a seed repeats the result, and it runs in float32, under autocast and
    in bfloat16.

    Args:
        part: a class, or a function that gives the fusion.
        options: of its constructor.
        branches: numbers of branches to try; one at least must be accepted.

    Raises:
        AssertionError: a demand that is not met.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        accepted = 0
        for number in branches:
            widths = [3 + place for place in range(number)]

            def build(widths: list[int] = widths) -> nn.Module:
                facts = {"features": widths, "targets": TARGETS, "sequences": [w + 2 for w in widths]}
                taken = {fact: facts[fact] for fact in FACTS if fact in Signature(part, facts=FACTS).takes}
                return part(**taken, **(options or {}))

            try:
                fusion = build()
            except InputError as error:
                name = getattr(part, "__name__", "the fusion")
                if name not in str(error) or str(number) not in str(error):
                    raise AssertionError(
                        f"{name} refuses {number} branches; the text must name it and the number: {error}"
                    ) from error
                continue
            accepted += 1
            _check(build, fusion, widths)
        if not accepted:
            raise AssertionError(f"{getattr(part, '__name__', part)} accepts none of {list(branches)} branches.")


def _check(build: Callable[[], nn.Module], fusion: nn.Module, widths: list[int]) -> None:
    for name, case in _cases(widths).items():
        where = f"{len(widths)} branches, {name}"
        for training in (True, False):
            _check_values(copy.deepcopy(fusion).train(training), case, f"{where}, {'train' if training else 'eval'}")
        with torch.autocast("cpu", torch.bfloat16):
            _check_values(copy.deepcopy(fusion).train(), case, f"{where}, train, autocast")
        _check_values(copy.deepcopy(fusion).bfloat16().train(), case.to(torch.bfloat16), f"{where}, train, bfloat16")
        _check_evaluation(fusion.eval(), case, where)
    _check_masks(fusion.eval(), widths)
    _check_state(build, widths)


def _cases(widths: list[int]) -> dict[str, Case]:
    size, number = 6, len(widths)
    everybody = torch.ones(size, dtype=torch.bool)
    some = [torch.arange(size) % (place + 2) != 1 for place in range(number)]
    nobody = [torch.zeros(size, dtype=torch.bool), *(everybody for _ in widths[1:])]
    return {
        "everything present": _case(widths, [None] * number, size),
        "a batch of one": _case(widths, [None] * number, 1),
        "some absent": _case(widths, list(some), size),
        "a branch that nobody has": _case(widths, list(nobody), size),
        "nothing at all": _case(widths, [torch.zeros(2, dtype=torch.bool)] * number, 2),
    }


def _case(widths: list[int], present: list[Present], size: int) -> Case:
    features, sequences, sides = [], [], []
    for width, mask in zip(widths, present, strict=True):
        there = torch.ones(size, dtype=torch.bool) if mask is None else mask
        features.append(torch.randn(size, width) * there[:, None])
        sequences.append(Sequences.of([torch.randn((1 + row % 3) * int(there[row]), width + 2) for row in range(size)]))
        sides.append({target: torch.randn(size, n) * there[:, None] for target, n in TARGETS.items()})
    return Case(features, present, sequences, sides)


def _scores(fusion: nn.Module, case: Case, where: str) -> dict[str, Tensor]:
    further = {"sequences": case.sequences, "sides": case.sides}
    name, size = type(fusion).__name__, len(case.features[0])
    try:
        found = fusion(case.features, case.present, *(further[what] for what in getattr(fusion, "reads", ())))
    except (IndexError, KeyError, RuntimeError, TypeError) as error:
        raise AssertionError(f"{name} fails ({where}): {type(error).__name__}: {error}") from error
    heads = (
        {"": found.scores, **{p: part.scores for p, part in found.parts.items()}}
        if isinstance(found, Fused)
        else {"": found}
    )
    scores = {}
    for head, by_target in heads.items():
        if not isinstance(by_target, dict) or list(by_target) != list(TARGETS):
            raise AssertionError(f"{name} must give scores by target, {list(TARGETS)}, in order ({where}).")
        if head and not head.startswith("fused."):
            raise AssertionError(f"{name}: the name of a part must begin with 'fused.', got {head!r} ({where}).")
        for target, values in by_target.items():
            if values.shape != (size, TARGETS[target]):
                raise AssertionError(
                    f"{name} must give (B, C) = {(size, TARGETS[target])} scores of {target!r}, gave "
                    f"{tuple(values.shape)} ({where})."
                )
            if not values.is_floating_point() or not values.isfinite().all():
                raise AssertionError(f"{name} must give finite floating-point scores ({where}).")
            scores[f"{target} {head}"] = values
    return scores


def _check_values(fusion: nn.Module, case: Case, where: str) -> None:
    name = type(fusion).__name__
    given = [g.clone() for g in case.features]
    scores = _scores(fusion, case, where)
    if any(not torch.equal(g, before) for g, before in zip(case.features, given, strict=True)):
        raise AssertionError(f"{name} changed the features that it was given ({where}).")
    if not fusion.training:
        return
    torch.cat([(values.float() * torch.randn(values.shape)).flatten() for values in scores.values()]).sum().backward()
    for parameter_name, parameter in fusion.named_parameters():
        if parameter.requires_grad and parameter.grad is None:
            raise AssertionError(
                f"{name}: {parameter_name} got no gradient ({where}). Parameters that a batch does not need must still "
                "take part in the computation, with a gradient of zero."
            )
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise AssertionError(f"{name}: the gradient of {parameter_name} is not finite ({where}).")


@torch.no_grad()
def _check_evaluation(fusion: nn.Module, case: Case, where: str) -> None:
    name = type(fusion).__name__
    together = _scores(fusion, case, f"{where}, eval")
    for row in range(len(case.features[0])):
        for head, values in _scores(fusion, case.of(row), f"{where}, eval, sample {row} alone").items():
            text = f"{name}: in evaluation sample {row} must not depend on the others ({where})"
            _assert_close(values[0], together[head][row], DEVIATION, text)
    low = _scores(copy.deepcopy(fusion).bfloat16(), case.to(torch.bfloat16), f"{where}, eval, bfloat16")
    for head, values in low.items():
        _assert_close(values.float(), together[head], DEVIATION_BFLOAT16, f"{name} in bfloat16 is far off ({where})")


@torch.no_grad()
def _check_masks(fusion: nn.Module, widths: list[int]) -> None:
    case = _case(widths, [None] * len(widths), 4)
    masked = case._replace(present=[torch.ones(4, dtype=torch.bool) for _ in widths])
    plain = _scores(fusion, case, "no masks")
    for head, values in _scores(fusion, masked, "masks of everybody").items():
        text = f"{type(fusion).__name__}: masks that say that everybody is there must change nothing"
        _assert_close(values, plain[head], DEVIATION, text)


def _check_state(build: Callable[[], nn.Module], widths: list[int]) -> None:
    case = _case(widths, [None] * len(widths), 5)
    results = []
    for _ in range(2):
        torch.manual_seed(1)
        fusion = build().train()
        results.append(_scores(fusion, case, "train"))
    restored = build()
    restored.load_state_dict(fusion.state_dict())
    name = type(fusion).__name__
    for head, values in results[0].items():
        if not torch.equal(values, results[1][head]):
            raise AssertionError(f"{name}: built and run twice from the same seed, it gives two results.")
    with torch.no_grad():
        expected = _scores(fusion.eval(), case, "eval")
        for head, values in _scores(restored.eval(), case, "eval").items():
            if not torch.equal(values, expected[head]):
                raise AssertionError(f"{name} gives other results after its state dict was loaded into a new one.")


def _assert_close(given: Tensor, expected: Tensor, share: float, text: str) -> None:
    allowed = share * max(1.0, float(expected.abs().max()))
    difference = float((given - expected).abs().max())
    if not difference <= allowed:
        raise AssertionError(f"{text}: by {difference:.3g}, more than {allowed:.3g}.")
