"""Two processes on one folder: the second waits a little, and is refused in words where the first goes on."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mrpnkit import holding
from mrpnkit.config import parse_config
from mrpnkit.errors import RunError
from mrpnkit.experiment import run_experiment
from mrpnkit.holding import held
from tests.small_runs import CONFIG, small_corpus

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """As another process has it; a second descriptor of one's own is no better off."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def test_a_fold_that_another_process_trains_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "PATIENCE", 0.3)
    corpus, run = small_corpus(), tmp_path / "run"
    content = {**CONFIG, "folds": {**CONFIG["folds"], "only": [1]}}
    other = parse_config({**content, "training": {**CONFIG["training"], "seed": 7}})
    refused = re.escape(f"Another process works in {run / 'fold-01'}. Wait until it has ended")
    run_experiment(parse_config({**content, "folds": {**CONFIG["folds"], "only": [2]}}), run, base=tmp_path,
                   corpus=corpus, cpu=True)  # fmt: skip
    with locked(run / "fold-01"), pytest.raises(RunError, match=refused):
        run_experiment(parse_config(content), run, base=tmp_path, corpus=corpus, cpu=True)
    assert not list((run / "fold-01").iterdir())
    for path in (run / "fold-02").iterdir():  # as before the end of the first epoch
        path.unlink()
    with locked(run / "fold-01"), pytest.raises(RunError, match=refused):
        run_experiment(other, run, base=tmp_path, corpus=corpus, cpu=True)
    assert run_experiment(other, run, base=tmp_path, corpus=corpus, cpu=True).folds.keys() == {1}


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_lock_ends_with_its_block_whoever_was_forked_meanwhile(tmp_path: Path) -> None:
    read, write = os.pipe()
    with held(tmp_path):
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)  # until the first process closes its end
            os._exit(0)
    with locked(tmp_path):  # at once, or BlockingIOError
        pass
    os.close(write)
    os.waitpid(child, 0)
    os.close(read)
