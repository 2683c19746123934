"""For a new process in a test: Ctrl-C reaches it, however the tests themselves were started."""

import signal


def answers_interrupts() -> None:
    """What a new process does first. One that is started from a script's background is deaf to Ctrl-C from birth."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
