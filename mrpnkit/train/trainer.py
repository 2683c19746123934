"""The training loop: one forward for all N+1 scores, one backward over their sum.

The loop is our own; Hugging Face accelerate owns devices, processes and gathering. Start it with ``python``, or with
``torchrun`` or ``accelerate launch`` on several devices, unchanged.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, cast

import torch
from accelerate import skip_first_batches
from accelerate.utils import gather_object, send_to_device
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from mrpnkit.balancing.steering import Steering, Step
from mrpnkit.data import Batch, Loader, set_epoch
from mrpnkit.errors import InputError, TrainingError
from mrpnkit.objective import Objective
from mrpnkit.records import replacing
from mrpnkit.train.checks import check_fusion, check_labels, check_monitor
from mrpnkit.train.devices import accelerator
from mrpnkit.train.evaluation import Evaluation, evaluate
from mrpnkit.train.finite import check_loss, clip_gradients
from mrpnkit.train.gradients import GradientRecorder
from mrpnkit.train.means import TermMeans
from mrpnkit.train.progress import EpochReport, epoch_bar
from mrpnkit.train.state import (
    BEST,
    LAST,
    METRICS,
    STATE,
    Progress,
    load_weights,
    random_state,
    read_state,
    save_weights,
    set_random_state,
    write_state,
)


class Trainer:
    """Trains a model on batches, reports every epoch, and can be stopped at any point and go on bitwise the same.

    Bitwise holds on a CPU. On a GPU some sums of PyTorch, those of ``index_add`` among them, have no fixed order, and
    no two trainings are the same to the last bit; ``torch.use_deterministic_algorithms(True)`` is yours to call.

    Args:
        model: an :class:`mrpnkit.MRPN` or a module that is called and answers in the same way.
        objective: the N+1 losses.
        batches: training batches, of :func:`mrpnkit.data.loader`.
        validation: validation batches; without them there is no selection and the last weights are kept.
        optimizer: over the model's parameters, or some of them; the paper's is ``AdamW`` with learning rate 5e-5.
        epochs: how many, at most.
        scheduler: stepped here. ``ReduceLROnPlateau`` once an epoch with the validation's ``loss`` (the paper: factor
            0.5, patience 10); any other once an optimiser step.
        clip_norm: largest norm of the whole gradient; None does not clip.
        monitor: the validation metric that selects the best epoch, ``target/head/metric`` or ``loss``. Errors and
            losses are minimised, others maximised, as the target knows them.
        patience: stop after that many epochs without a better one; None never stops early.
        precision: ``"float32"``, or ``"bfloat16"`` autocasting of the forward; losses stay float32. What
            ``accelerate launch`` is told about mixed precision does not count.
        folder: where state, weights and ``metrics.jsonl`` are written; None writes nothing.
        save_every: also save the state every so many optimiser steps within an epoch.
        cpu: stay on the CPU although there is an accelerator. Processes that ``torchrun`` starts where there is none
            join only with ``cpu=True``; without it, each trains by itself as if it were alone. One process may have
            trainers on several devices, one after another.
        gradients: measures, on request, whether the losses of branches and fusion conflict; of the same model.
        marks: texts that are stored in the files of weights, such as the fingerprint of the split.

    Raises:
        InputError: labels that the objective cannot learn, no such thing to monitor, an optimizer of another model,
            several processes that are joined on another device, a mixed precision of accelerate's in this process.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        batches: Loader,
        validation: Loader | None = None,
        *,
        optimizer: Optimizer,
        epochs: int,
        scheduler: LRScheduler | ReduceLROnPlateau | None = None,
        clip_norm: float | None = None,
        monitor: str = "loss",
        patience: int | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        folder: str | Path | None = None,
        save_every: int | None = None,
        cpu: bool = False,
        gradients: GradientRecorder | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        if precision not in ("float32", "bfloat16"):
            raise InputError(f"Trainer: precision {precision!r}; expected 'float32' or 'bfloat16'.")
        if isinstance(scheduler, ReduceLROnPlateau) and validation is None:
            raise InputError("Trainer: ReduceLROnPlateau needs validation batches, whose loss it watches.")
        check_labels(objective, batches)
        check_fusion(objective, model)
        check_monitor(monitor, objective, model)
        self.accelerator = accelerator(cpu=cpu)
        self._device = self.accelerator.device  # that of a later trainer may be another, and accelerate knows only that
        self.objective, self.scheduler = objective, scheduler
        self.total_epochs, self.clip_norm, self.monitor, self.patience = epochs, clip_norm, monitor, patience
        self.bfloat16 = precision == "bfloat16"
        self.folder = Path(folder) if folder is not None else None
        self.save_every = save_every
        self.gradients, self.marks = gradients, dict(marks or {})
        self._unprepared = batches
        model = model.to(self._device)  # before a balancer looks at it and makes tensors of its own
        self.steering = Steering(objective.balancer, model, {n: t.kind for n, t in objective.targets.items()})
        self.model, self.batches = self.accelerator.prepare(model, batches)
        self.optimizer = optimizer  # as it is: accelerate's wrapper and backward look for a package in every step
        self.validation = self.accelerator.prepare(validation) if validation is not None else None
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        chosen = {id(p) for p in self._parameters}
        if chosen - {id(p) for p in model.parameters()}:
            raise InputError("Trainer: the optimizer has parameters that are not the model's.")
        self._left_out = [p for p in model.parameters() if id(p) not in chosen]
        self.progress = Progress()
        self.history: list[EpochReport] = []
        self.last_evaluation: Evaluation | None = None
        self._means = TermMeans()
        self._best_weights: dict[str, Tensor] | None = None
        self._holds_best = False
        if self.folder is not None and self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def plain_model(self) -> nn.Module:
        """The model itself, without what several processes wrap around it."""
        return cast(nn.Module, self.accelerator.unwrap_model(self.model))

    def fit(self, *, keep: Literal["best", "last"] = "best", progress_bar: bool = False) -> list[EpochReport]:
        """Trains to the end, or to early stopping; resumes where the folder's state left off.

        Afterwards the model has the weights of the best validated epoch (``keep="best"``) or the last ones, and both
        stand in the folder as safetensors. Returns the reports of all epochs, earlier ones included.
        """
        self.resume()
        with epoch_bar(self.total_epochs, self.progress.epoch, shown=progress_bar and self._main) as advance:
            for report in self.epochs():
                advance(report)
        if self.folder is not None and self._main and not self._holds_best:
            save_weights(self.folder / LAST, self.plain_model, self.marks)
        if keep == "best" and self._best_weights is not None:
            self.plain_model.load_state_dict(self._best_weights)
            self._holds_best = True
        return self.history

    def epochs(self) -> Iterator[EpochReport]:
        """Trains one epoch at a time and yields its report; the loop around it may look, log, or leave."""
        while self.progress.epoch < self.total_epochs and not self.progress.stopped:
            yield self._epoch()

    def _epoch(self) -> EpochReport:
        start, epoch = time.perf_counter(), self.progress.epoch
        if not self.progress.step:  # another trainer may have used the balancer since this one was built
            self.steering.begin()
        batches = self.batches
        if self.progress.batch:
            batches = skip_first_batches(self.batches, self.progress.batch)
        batches.set_epoch(epoch)
        set_epoch(self._unprepared, epoch)
        self.objective.begin_epoch(epoch)
        self.model.train()
        for batch in batches:
            self._step(batch)
            if self.save_every and self.progress.step % self.save_every == 0:
                self.save()
        if self._means.sums is None:
            raise TrainingError("The training loader gave no batch.")
        train = self._means.over(self.accelerator, self._device)
        validation = self._validate()
        told = validation
        if self.last_evaluation is not None and self.steering.learns:
            told = self.last_evaluation.metrics | self.last_evaluation.terms(self.objective, self._device)
        self.steering.end_epoch(train, told)
        better = validation is not None and self._is_better(validation)
        if better:
            self.progress = self.progress._replace(best_epoch=epoch, best_value=self._monitored(validation or {}))
            self._best_weights = {name: value.detach().clone() for name, value in self.plain_model.state_dict().items()}
            if self.folder is not None and self._main:
                save_weights(self.folder / BEST, self.plain_model, self.marks)
        waited = epoch - self.progress.best_epoch if validation is not None else 0
        stopped = self.patience is not None and waited >= self.patience
        self.progress = self.progress._replace(epoch=epoch + 1, batch=0, stopped=stopped)
        self._means = TermMeans()
        report = EpochReport(
            epoch + 1, self.progress.step, time.perf_counter() - start, self._rate(), train, validation, better
        )
        self.history.append(report)
        self.save()
        return report

    def _step(self, batch: Batch) -> None:
        with torch.autocast(self._device.type, torch.bfloat16) if self.bfloat16 else nullcontext():
            output = self.model(batch.inputs)
        loss = self.objective(output, batch.labels)
        if loss.total.numel() != 1:
            who, shape = type(self.objective.balancer).__name__, tuple(loss.total.shape)
            raise TrainingError(f"The balancer {who} gave a tensor of shape {shape}; expected one number, a scalar.")
        place = self.progress.step + 1, self.progress.epoch + 1
        check_loss(loss, batch, *place)
        weighted = self.objective.weighted(loss.terms)
        weights = {name: self.objective.weight_of(name) for name in weighted}
        if self.gradients is not None and self.gradients.due(place[0]):
            self.gradients.record(*place, weighted)
        self.optimizer.zero_grad()
        for parameter in self._left_out:  # the optimizer does not know them; gradients would add up step by step
            parameter.grad = None
        self.steering.backward(Step(output, batch.labels, weighted, loss.total, loss.counts, weights))
        if self.clip_norm is not None:
            clip_gradients(self.model, self._parameters, self.clip_norm, batch, *place)
        self.optimizer.step()
        if self.scheduler is not None and not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
        self._means.add(loss)
        self.progress = self.progress._replace(batch=self.progress.batch + 1, step=self.progress.step + 1)

    def _validate(self) -> dict[str, float] | None:
        if self.validation is None:
            return None
        self.last_evaluation = evaluate(
            self.model, self.validation, self.objective, accelerator=self.accelerator, bfloat16=self.bfloat16
        )
        metrics = self.last_evaluation.metrics
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(metrics["loss"])
        return metrics

    def _monitored(self, metrics: dict[str, float]) -> float:
        if self.monitor not in metrics:
            raise InputError(
                f"Trainer: there is no metric {self.monitor!r} to monitor; there are {', '.join(metrics)}."
            )
        return metrics[self.monitor]

    def _is_better(self, metrics: dict[str, float]) -> bool:
        value, best = self._monitored(metrics), self.progress.best_value
        if math.isnan(value):
            return False
        return math.isnan(best) or (value < best if self.objective.minimises(self.monitor) else value > best)

    def save(self) -> None:
        """Writes the state, from which :meth:`resume` goes on as if nothing had been; does nothing without a folder."""
        if self.folder is None:
            return
        own = {"random": random_state(), "balancer": self.steering.state_dict(), "sums": self._means.sums}
        processes = gather_object([send_to_device(own, "cpu")])
        if not self._main:
            return
        write_state(
            self.folder / STATE,
            {
                "model": self.plain_model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict() if self.scheduler is not None else None,
                "processes": processes,
                "progress": self.progress._asdict(),
                "terms": self._means.names,
                "history": [report._asdict() for report in self.history],
            },
        )
        lines = [json.dumps(report._asdict()) + "\n" for report in self.history]
        with replacing(self.folder / METRICS) as file:
            file.write("".join(lines).encode())
        if self.gradients is not None:
            self.gradients.save(self.folder)

    def resume(self) -> bool:
        """Goes back to the folder's state, if there is one; tells whether there was.

        Raises:
            TrainingError: the state is damaged or belongs to another model or number of processes.
        """
        if self.folder is None or self.progress.step or not (self.folder / STATE).is_file():
            return False
        state = read_state(self.folder / STATE)
        if len(state["processes"]) != self.accelerator.num_processes:
            raise TrainingError(
                f"{self.folder} was trained by {len(state['processes'])} processes, not "
                f"{self.accelerator.num_processes}; start as many, or remove the folder to start anew."
            )
        own = state["processes"][self.accelerator.process_index]
        try:
            self.plain_model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise TrainingError(
                f"The state in {self.folder} belongs to another model or optimizer; choose another folder. {error}"
            ) from error
        if self.scheduler is not None and state["scheduler"] is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.steering.load_state_dict(own["balancer"])
        self.progress = Progress(**state["progress"])
        self._means.names, self._means.sums = state["terms"], own["sums"]
        self.history = [EpochReport(**report) for report in state["history"]]
        if self.progress.best_epoch >= 0:
            last = {name: value.detach().clone() for name, value in self.plain_model.state_dict().items()}
            load_weights(self.folder / BEST, self.plain_model)
            self._best_weights = {n: v.detach().clone() for n, v in self.plain_model.state_dict().items()}
            self.plain_model.load_state_dict(last)
        set_random_state(own["random"])
        if self.gradients is not None:
            self.gradients.resume(self.folder, self.progress.step)
        return True

    @property
    def _main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])
