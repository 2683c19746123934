"""Which CUDA device each of several processes takes: one of those that this one was given, under its own name."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from mrpnkit.devices import begin, cuda_devices


def _variable() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        ("4,5", 2, ["4", "5", "4"]),
        (" 7, 2 ,3", 3, ["7", "2", "3"]),
        ("MIG-a1,MIG-b2", 2, ["MIG-a1", "MIG-b2", "MIG-a1"]),
        ("GPU-a1,GPU-b2,99", 2, ["GPU-a1", "GPU-b2", "GPU-a1"]),  # CUDA stops at the first that is not there
        (None, 2, ["0", "1", "0"]),
        ("6", 1, ["6", "6", "6"]),
        ("", 0, ["", "", ""]),
        (None, 0, [None] * 3),
    ],
)
def test_processes_take_the_given_devices_in_turn(
    given: str | None, count: int, expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    turn = get_context("spawn").Value("i", 0)
    devices: list[str] = []
    for place, wanted in enumerate(expected):
        if given is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        else:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        devices = cuda_devices() if place == 0 else devices
        begin(turn, 3, devices)
        assert _variable() == wanted


def test_a_spawned_process_is_given_a_device_by_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a1,MIG-b2")
    context = get_context("spawn")
    arguments = (context.Value("i", 1), 1, cuda_devices())
    with ProcessPoolExecutor(1, mp_context=context, initializer=begin, initargs=arguments) as pool:
        assert pool.submit(_variable).result() == "MIG-b2"
