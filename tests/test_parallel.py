"""An ablation in several processes that is stopped: at once, without a word of theirs, and with nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mrpnkit.errors import TrainingError
from mrpnkit.parallel import FoldJob, run_folds
from tests.interrupts import answers_interrupts
from tests.small_runs import TOML, small_corpus


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 3), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_process_is_left_behind(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    """Whoever still runs holds the other end of the pipe, so that reading it does not end."""
    small_corpus().save(tmp_path / "corpus")
    (tmp_path / "run.toml").write_text(TOML.replace("epochs = 2", "epochs = 100000"))
    command = [sys.executable, "-m", "mrpnkit", "ablate", "run.toml", "--workers", "2", "--cpu", "--out", "out"]
    root = str(Path(__file__).parents[1])
    told = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=answers_interrupts,
    )  # fmt: skip
    try:
        while not list(tmp_path.glob("out/*/*/fold-*/state.pt")):
            assert told.poll() is None
            time.sleep(0.1)
        told.send_signal(sent)
        text, _ = told.communicate(timeout=30)
    finally:
        if told.returncode is None:
            os.killpg(told.pid, signal.SIGKILL)
            told.communicate()
    assert told.returncode == code
    assert "Traceback" not in text
    if sent == signal.SIGINT:
        assert "Stopped. The same command goes on with out." in text


class _Deadly:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_a_process_that_is_ended_from_outside_is_told_in_words(tmp_path: Path) -> None:
    deadly: Any = _Deadly()
    with pytest.raises(TrainingError, match=r"One of 1 processes was ended from outside.* try fewer workers"):
        run_folds([FoldJob(deadly, tmp_path, tmp_path / "run", 1, True)], 1)
