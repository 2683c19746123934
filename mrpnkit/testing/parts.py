"""Checks of extractors and aggregators.

Steps are vectors, unless an extractor's test makes others.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mrpnkit.errors import InputError
from mrpnkit.sequences import Sequences

Factory = Callable[[int], nn.Module]
MakeSteps = Callable[[int], Tensor]

_BATCHES = ((9, 0, 14, 1), (5,), (1,), (0, 6), (3, 3))
_WITHOUT_STEPS = ((0, 0, 0), (0,))
_DEVIATION = 1e-4
_DEVIATION_BFLOAT16 = 0.1


def check_extractor(factory: Factory, in_features: int, *, make_steps: MakeSteps | None = None) -> None:
    """Checks all that mrpnkit asks of an extractor.

    Built for the width of a step, it has an integer ``out_features``, turns ragged steps of that width into ragged
    steps of ``out_features``, refuses another width with an InputError, and leaves its input as it was. A sample of no
    steps stays one; in evaluation the steps of a sample do not depend on the other samples. Every parameter gets a
    finite gradient, also from a batch without any step: processes that train together wait for it. The state is
    restored from a state dict, a seed repeats it, and it runs in float32, under autocast and in bfloat16.

    Args:
        factory: builds the extractor from the width of a step: ``lambda width: Conv1d(width, channels=[8])``.
        in_features: the width to try.
        make_steps: for an extractor whose steps are no vectors: random steps of one sample, as many as the given number
            or a multiple of it: ``lambda n: torch.randint(0, 256, (n, 32, 32, 3), dtype=torch.uint8)``. The extractor
            must then refuse steps of five axes. Steps that are integers get no gradient.

    Raises:
        AssertionError: a demand that is not met.
    """
    _check(factory, in_features, _steps_of_extractor, make_steps)


def check_aggregator(factory: Factory, in_features: int) -> None:
    """Checks all that mrpnkit asks of an aggregator.

    Built for the width of a step, it has an integer ``out_features``, turns ragged steps of that width into a tensor
    (B, out_features), refuses another width with an InputError, and leaves its input as it was. A sample of no steps
    gives a row of exact zeros; in evaluation the row of a sample does not depend on the other samples. Every parameter
    gets a finite gradient, also from a batch without any step: processes that train together wait for it. The state is
    restored from a state dict, a seed repeats it, and it runs in float32, under autocast and in bfloat16.

    Args:
        factory: builds the aggregator from the width of a step: ``lambda width: LSTM(width, hidden_features=8)``.
        in_features: the width to try.

    Raises:
        AssertionError: a demand that is not met.
    """
    _check(factory, in_features, _rows_of_aggregator)


Run = Callable[[nn.Module, Sequences, str], list[Tensor]]


def _check(factory: Factory, in_features: int, run: Run, make_steps: MakeSteps | None = None) -> None:
    make = make_steps or (lambda count: torch.randn(count, in_features))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        part = factory(in_features)
        width = getattr(part, "out_features", None)
        if not isinstance(width, int) or width < 1:
            raise AssertionError(
                f"{_name(part)} needs an integer attribute out_features of at least 1, the width of its result; "
                f"found {width!r}."
            )
        if make_steps is None:
            _check_width(part, in_features)
        else:
            _check_shape(part, make)
        for lengths in (*_BATCHES, *_WITHOUT_STEPS):
            for training in (True, False):
                _check_values_and_gradients(copy.deepcopy(part).train(training), _batch(make, lengths), run)
        _check_independence(part, make, run)
        _check_state(lambda: factory(in_features), part, make, run)
        _check_seed(lambda: factory(in_features), make, run)
        _check_bfloat16(part, make, run)


def _steps_of_extractor(part: nn.Module, inputs: Sequences, where: str) -> list[Tensor]:
    """The result by sample, after the checks of its form that any batch allows."""
    outputs = part(inputs)
    if not isinstance(outputs, Sequences):
        raise AssertionError(f"{_name(part)} must return Sequences, returned {type(outputs).__name__} ({where}).")
    try:
        outputs.check(_name(part))
    except InputError as error:
        raise AssertionError(f"{_name(part)} returned Sequences that do not fit together ({where}): {error}") from error
    if outputs.batch_size != inputs.batch_size:
        raise AssertionError(
            f"{_name(part)} turned {inputs.batch_size} samples into {outputs.batch_size} ({where}); their number must "
            "stay."
        )
    if list(outputs.steps.shape[1:]) != [part.out_features]:
        raise AssertionError(
            f"{_name(part)} has out_features={part.out_features} but returned steps of shape "
            f"{tuple(outputs.steps.shape[1:])} ({where})."
        )
    made_up = (outputs.lengths > 0) & (inputs.lengths == 0)
    if made_up.any():
        raise AssertionError(
            f"{_name(part)} made {int(outputs.lengths[made_up][0])} steps of a sample that has none ({where}); a "
            "missing modality must stay missing."
        )
    return outputs.unbind()


def _rows_of_aggregator(part: nn.Module, inputs: Sequences, where: str) -> list[Tensor]:
    """The result by sample, after the checks of its form that any batch allows."""
    outputs = part(inputs)
    expected = (inputs.batch_size, part.out_features)
    if not isinstance(outputs, Tensor) or outputs.shape != expected:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise AssertionError(
            f"{_name(part)} must return a tensor (B, out_features) = {expected}, returned {given} ({where})."
        )
    absent = outputs[inputs.lengths == 0]
    if not torch.equal(absent, torch.zeros_like(absent)):
        raise AssertionError(f"{_name(part)} must give a row of exact zeros for a sample of no steps ({where}).")
    return list(outputs)


def _check_width(part: nn.Module, in_features: int) -> None:
    wrong = in_features + 1
    try:
        part(Sequences.of([torch.randn(3, wrong), torch.randn(2, wrong)]))
    except InputError as error:
        if type(part).__name__ in str(error) and str(wrong) in str(error) and str(in_features) in str(error):
            return
        raise AssertionError(
            f"{_name(part)} refuses steps of a wrong width, but its text must name {type(part).__name__}, the width "
            f"given, {wrong}, and the one expected, {in_features}: {error}"
        ) from error
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise AssertionError(
            f"{_name(part)} must refuse steps of a wrong width with an InputError, raised {type(error).__name__}: "
            f"{error}"
        ) from error
    raise AssertionError(
        f"{_name(part)} was given steps of width {wrong}, was built for {in_features}, and did not refuse them; take "
        "the steps from mrpnkit.arguments.checked_steps(self, inputs, in_features), which does."
    )


def _check_shape(part: nn.Module, make: MakeSteps) -> None:
    steps = make(3)
    wrong = steps.reshape(len(steps), -1)[:, :1].reshape(-1, 1, 1, 1, 1, 1).expand(-1, 2, 2, 2, 2, 2)
    try:
        part(Sequences.of([wrong]))
    except InputError as error:
        if type(part).__name__ in str(error):
            return
        raise AssertionError(f"{_name(part)}: the text of an InputError must name it: {error}") from error
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise AssertionError(
            f"{_name(part)} must refuse steps of another shape with an InputError, raised {type(error).__name__}: "
            f"{error}"
        ) from error
    raise AssertionError(f"{_name(part)} accepted steps of five axes, {tuple(wrong.shape[1:])}.")


def _check_values_and_gradients(part: nn.Module, inputs: Sequences, run: Run) -> None:
    autocast = ", autocast" if torch.is_autocast_enabled("cpu") else ""
    mode = f"{'train' if part.training else 'eval'}, {inputs.steps.dtype}{autocast}"
    where = f"lengths {tuple(inputs.lengths.tolist())}, {mode}"
    steps = inputs.steps.clone().requires_grad_(inputs.steps.is_floating_point())
    try:
        outputs = torch.cat([result.flatten() for result in run(part, inputs.with_steps(steps), where)])
    except (IndexError, RuntimeError, TypeError) as error:
        raise AssertionError(f"{_name(part)} fails ({where}): {type(error).__name__}: {error}") from error
    if not torch.equal(steps, inputs.steps):
        raise AssertionError(f"{_name(part)} changed the steps that it was given ({where}).")
    if not outputs.is_floating_point() or not outputs.isfinite().all():
        raise AssertionError(f"{_name(part)} must return finite floating-point values ({where}).")
    trained = {name: parameter for name, parameter in part.named_parameters() if parameter.requires_grad}
    if not trained and not steps.requires_grad:
        return
    if not outputs.requires_grad:
        raise AssertionError(f"The result of {_name(part)} has no gradient with respect to the steps ({where}).")
    (outputs.float() * torch.randn(outputs.shape)).sum().backward()
    gradients = {"the steps": steps.grad} if steps.requires_grad else {}
    gradients |= {name: parameter.grad for name, parameter in trained.items()}
    for name, gradient in gradients.items():
        if gradient is None:
            raise AssertionError(
                f"{_name(part)}: {name} got no gradient ({where}). Parameters that a batch does not need must still "
                "take part in the computation, with a gradient of zero."
            )
        if not gradient.isfinite().all():
            raise AssertionError(f"{_name(part)}: the gradient of {name} is not finite ({where}).")


def _check_independence(part: nn.Module, make: MakeSteps, run: Run) -> None:
    part.eval()
    for lengths in _BATCHES:
        inputs = _batch(make, lengths)
        with torch.no_grad():
            together = run(part, inputs, f"lengths {lengths}, eval")
            for position, sample in enumerate(inputs.unbind()):
                alone = run(part, Sequences.of([sample]), f"lengths ({len(sample)},), eval")[0]
                _assert_close(
                    together[position],
                    alone,
                    _DEVIATION,
                    f"{_name(part)}: the result for a sample must not depend on the other samples in evaluation; "
                    f"sample {position} of lengths {lengths} differs from the same sample alone",
                )


def _check_state(build: Callable[[], nn.Module], part: nn.Module, make: MakeSteps, run: Run) -> None:
    inputs = _batch(make, _BATCHES[0])
    part.train()
    run(part, inputs, "train")  # moves running statistics away from where they start
    restored = build()
    restored.load_state_dict(part.state_dict())
    with torch.no_grad():
        results = [run(one.eval(), inputs, "eval") for one in (part, restored)]
    for given, expected in zip(*results, strict=True):
        if not torch.equal(given, expected):
            raise AssertionError(f"{_name(part)} gives other results after its state dict was loaded into a new one.")


def _check_seed(build: Callable[[], nn.Module], make: MakeSteps, run: Run) -> None:
    inputs = _batch(make, _BATCHES[0])
    results = []
    for _ in range(2):
        torch.manual_seed(1)
        part = build().train()
        results.append(run(part, inputs, "train"))
    for given, expected in zip(*results, strict=True):
        if not torch.equal(given, expected):
            raise AssertionError(f"{_name(part)}: built and run twice from the same seed, it gives two results.")


def _check_bfloat16(part: nn.Module, make: MakeSteps, run: Run) -> None:
    for lengths in (_BATCHES[0], _WITHOUT_STEPS[0]):
        inputs = _batch(make, lengths)
        low = inputs.with_steps(inputs.steps.bfloat16()) if inputs.steps.is_floating_point() else inputs
        for training in (True, False):
            with torch.autocast("cpu", torch.bfloat16):
                _check_values_and_gradients(copy.deepcopy(part).train(training), inputs, run)
            _check_values_and_gradients(copy.deepcopy(part).bfloat16().train(training), low, run)
        with torch.no_grad():
            exact = run(part.eval(), inputs, "eval")
            rounded = run(copy.deepcopy(part).bfloat16(), low, "eval, bfloat16")
            with torch.autocast("cpu", torch.bfloat16):
                cast = run(part, inputs, "eval, autocast")
        for mode, results in (("in bfloat16", rounded), ("under autocast to bfloat16", cast)):
            for given, expected in zip(results, exact, strict=True):
                text = f"{_name(part)} {mode} is far from float32 for lengths {lengths}"
                _assert_close(given.float(), expected, _DEVIATION_BFLOAT16, text)


def _assert_close(given: Tensor, expected: Tensor, share: float, text: str) -> None:
    """Fails unless shapes agree and values differ by less than ``share`` of the largest, or of 1."""
    if given.shape != expected.shape:
        raise AssertionError(f"{text}: shapes {tuple(given.shape)} and {tuple(expected.shape)}.")
    if given.numel():
        allowed = share * max(1.0, float(expected.abs().max()))
        difference = float((given - expected).abs().max())
        if not difference <= allowed:
            raise AssertionError(f"{text}: by {difference:.3g}, more than {allowed:.3g}.")


def _batch(make: MakeSteps, lengths: tuple[int, ...]) -> Sequences:
    return Sequences.of([make(length) for length in lengths])


def _name(part: nn.Module) -> str:
    return type(part).__name__
