"""What all tests share: one thread for torch, and the way to real data."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("mrpnkit", deadline=None, derandomize=True, database=None)
settings.load_profile("mrpnkit")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Root of the real data: ``MRPNKIT_DATA``, or ``../shared/data`` beside the repository root.

    Where there is none the test is skipped, or fails if ``MRPNKIT_REQUIRE_DATA=1`` says that there must be some.
    """
    given = os.environ.get("MRPNKIT_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        reason = f"no real data: {folder} is no folder; set MRPNKIT_DATA to one"
        if os.environ.get("MRPNKIT_REQUIRE_DATA") == "1":
            pytest.fail(f"{reason} (MRPNKIT_REQUIRE_DATA=1 asks for it)")
        pytest.skip(reason)
    return folder


@pytest.fixture(autouse=True)
def _own_device() -> Iterator[None]:
    """Forgets accelerate's state of the process, so that no test decides on which device the next one trains."""
    yield
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
