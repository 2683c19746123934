"""Result files: one form for every benchmark, so that a figure in the documentation can be traced to a command."""

import datetime
import math
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mrpnkit.records import versions, write_json


class Figure(NamedTuple):
    """A measured value: its unit, its spread (standard deviation, same unit) and how many values are behind it."""

    value: float
    unit: str
    spread: float | None = None
    n: int | None = None

    @classmethod
    def mean(cls, values: list[float], unit: str) -> "Figure":
        """Mean and sample standard deviation (n − 1) of several values."""
        average = sum(values) / len(values)
        spread = math.sqrt(sum((v - average) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else None
        return cls(average, unit, spread, len(values))


def write_result(
    path: str | Path,
    *,
    claim: str,
    config: Mapping[str, Any],
    figures: Mapping[str, Figure],
    rows: Mapping[str, Any] | None = None,
    command: str | None = None,
) -> Path:
    """Writes a result file: claim, command, config, versions, machine, date, figures, and the rows behind them.

    Args:
        path: the file, ``benchmarks/results/NAME.json``; its folder is made.
        claim: what the benchmark guards, in a sentence.
        config: everything that the figures depend on, seeds included.
        figures: by name.
        rows: what the figures were computed from, by name.
        command: how to make the file again; by default this process's own command line.
    """
    content = {
        "claim": claim,
        "command": command or this_command(),
        "config": dict(config),
        "versions": versions(),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "figures": {name: figure._asdict() for name, figure in figures.items()},
        **(rows or {}),
    }
    return write_json(path, content)


def print_figures(figures: Mapping[str, Figure]) -> None:
    """One line a figure, ``name: value unit``: how every benchmark ends."""
    for name, figure in figures.items():
        print(f"{name}: {figure.value:.4g} {figure.unit}".rstrip())


def down(value: float, digits: int = 1) -> str:
    """A number with so many digits behind the point, rounded towards minus infinity; what floats lack is forgiven.

    >>> down(98.975), down(99.0), down(100 * 0.29), down(-0.05)
    ('98.9', '99.0', '29.0', '-0.1')
    """
    scale = 10**digits
    return f"{math.floor(value * scale + 1e-6) / scale:.{digits}f}"


def machine() -> dict[str, Any]:
    """Processor, its vector instructions, cores, memory and accelerators of this machine; no name, no paths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "accelerators": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def this_command() -> str:
    """This process's command line as it is typed at the project's root."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return shlex.join(["python", "-m", spec.name.removesuffix(".__main__"), *sys.argv[1:]])
    script = Path(sys.argv[0])
    shown = script.resolve().relative_to(Path.cwd()) if script.resolve().is_relative_to(Path.cwd()) else script.name
    return shlex.join(["python", str(shown), *sys.argv[1:]])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
