"""Extracting once: the outputs of the branches' extractors over a corpus, written as a corpus of their own.

Where an extractor is frozen, its outputs never change, and a training that reads them with the extractor ``identity``
learns the same at a fraction of the cost. Several processes share the work: each writes a shard of neighbouring
samples, whole or not at all, and the first joins them. What was extracted before an interruption is kept.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray

from mrpnkit.data import Corpus, CorpusWriter
from mrpnkit.data.labels import TargetValue, plain_value
from mrpnkit.errors import CorpusError, InputError
from mrpnkit.mrpn import MRPN, Branch


def extract_corpus(
    model: MRPN,
    corpus: Corpus,
    out: str | Path,
    *,
    batch_size: int = 16,
    about: Mapping[str, Any] | None = None,
    cpu: bool = False,
) -> Path:
    """Runs the extractors in evaluation mode and writes what they return, one modality for each branch.

    Ids, targets, groups, and the samples' order stay. A modality's rate is kept where its extractor keeps the number
    of steps, and scaled with it otherwise. Under several processes, all must see the folder.

    Args:
        model: whose branches' extractors are run.
        corpus: what they read; it has a modality for each branch.
        out: the corpus folder to make; its path is returned.
        batch_size: samples at once.
        about: stored with the corpus; a shard of an earlier attempt is kept where it agrees.
        cpu: stay on the CPU although there is an accelerator.

    Raises:
        CorpusError: the folder exists.
        InputError: the corpus lacks a modality.
    """
    out = Path(out)
    if out.exists():
        raise CorpusError(f"{out} exists already; remove it or choose another folder.")
    lacking = [name for name in model.branches if name not in corpus.modalities]
    if lacking:
        raise InputError(
            f"The data lack the modalities {lacking}, which the branches read; they have {list(corpus.modalities)}."
        )
    state = PartialState(cpu=cpu)
    parts = np.array_split(np.arange(len(corpus)), state.num_processes)
    shards = [out.with_name(f"{out.name}.shard-{n + 1}-of-{len(parts)}") for n, rows in enumerate(parts) if len(rows)]
    stamp = {**(about or {}), "samples": len(corpus)}
    if state.process_index < len(shards):
        mine = shards[state.process_index]
        if mine.exists() and Corpus.open(mine).about != stamp:
            shutil.rmtree(mine)
        if not mine.exists():
            model = model.to(state.device).eval()
            _write(model, corpus, parts[state.process_index], mine, batch_size=batch_size, about=stamp)
    state.wait_for_everyone()
    if state.is_main_process:
        _join(shards, corpus, out, about=about or {})
    state.wait_for_everyone()
    return out


def labels_of(corpus: Corpus, row: int) -> tuple[dict[str, TargetValue], dict[str, str]]:
    """Targets and groups of one sample, as :meth:`mrpnkit.data.CorpusWriter.add` takes them."""
    targets = {name: plain_value(values, corpus.classes.get(name), row) for name, values in corpus.targets.items()}
    return targets, {name: str(values[row]) for name, values in corpus.groups.items()}


def _write(
    model: MRPN, corpus: Corpus, rows: NDArray[np.int64], folder: Path, *, batch_size: int, about: Mapping[str, Any]
) -> None:
    with CorpusWriter(folder, classes=corpus.single_classes, labels=corpus.label_names, about=about) as writer:
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            pieces = dict(_extracted(model, corpus, chosen))
            for place, row in enumerate(chosen.tolist()):
                modalities = {name: pieces[name][place] for name in pieces}
                writer.add(corpus.ids[row], modalities, *labels_of(corpus, row))


def _join(shards: Sequence[Path], corpus: Corpus, out: Path, *, about: Mapping[str, Any]) -> None:
    _write_joined(shards, corpus, out, about=about)
    for place in shards:  # only now, when nothing maps a file of theirs any more: Windows would not let it go
        shutil.rmtree(place)


def _write_joined(shards: Sequence[Path], corpus: Corpus, out: Path, *, about: Mapping[str, Any]) -> None:
    opened = [Corpus.open(shard) for shard in shards]
    rates: dict[str, float | None] = {}
    for name in opened[0].modalities:
        read, rate = int(corpus.modalities[name].lengths.sum()), corpus.modalities[name].rate
        written = sum(int(shard.modalities[name].lengths.sum()) for shard in opened)
        rates[name] = rate if rate is None or not read or read == written else rate * written / read
    with CorpusWriter(
        out, classes=corpus.single_classes, labels=corpus.label_names, rates=rates, about=about
    ) as writer:
        for shard in opened:
            for row, sample in enumerate(shard.ids):
                modalities = {name: shard.read(name, row) for name in shard.modalities}
                writer.add(sample, modalities, *labels_of(shard, row))


@torch.no_grad()
def _extracted(model: MRPN, corpus: Corpus, rows: NDArray[np.int64]) -> Iterator[tuple[str, list[NDArray[Any]]]]:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    for name, branch in model.branches.items():
        inputs = corpus.batch(name, rows)
        inputs = type(inputs)(inputs.steps.to(device), inputs.lengths.to(device))
        outputs = cast(Branch, branch).extractor(inputs)
        yield name, [piece.float().cpu().numpy() for piece in outputs.unbind()]
