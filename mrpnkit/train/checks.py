"""What is checked before a training starts, so that it does not stop after its first epoch."""

from torch import nn

from mrpnkit.data import CorpusDataset, Loader
from mrpnkit.errors import InputError
from mrpnkit.fusions.presence import check_kinds
from mrpnkit.mrpn import MRPN
from mrpnkit.names import FUSED
from mrpnkit.objective import Objective


def check_labels(objective: Objective, batches: Loader) -> None:
    """Raises InputError unless the corpus behind the loader has every target, with labels that can be learned."""
    dataset = batches.dataset
    if not isinstance(dataset, CorpusDataset):
        return
    for name, target in objective.targets.items():
        if name not in dataset.corpus.targets:
            raise InputError(f"The objective has the target {name!r}; the corpus has {list(dataset.corpus.targets)}.")
        target.check(dataset.corpus.labels(name), name)


def check_fusion(objective: Objective, model: nn.Module) -> None:
    """Raises InputError for a fusion that is not defined for the kind of one of the targets."""
    check_kinds(getattr(model, "fusion", None), {name: target.kind for name, target in objective.targets.items()})


def check_monitor(monitor: str, objective: Objective, model: nn.Module) -> None:
    """Raises InputError unless ``monitor`` is ``loss`` or the name of a metric, ``target/head/metric``."""
    heads = [FUSED, *(model.sides if isinstance(model, MRPN) else [])]
    known = [
        f"{name}/{head}/{metric}"
        for name, target in objective.targets.items()
        for head in heads
        for metric in target.metric_names
    ]
    parts = monitor.split("/")
    if monitor == "loss" or monitor in known:
        return
    foreign = not isinstance(model, MRPN) and len(parts) == 3 and parts[0] in objective.targets
    if not foreign:
        raise InputError(f"Trainer: there is no metric {monitor!r} to monitor; there are loss, {', '.join(known)}.")
