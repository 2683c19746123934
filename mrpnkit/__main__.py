"""``python -m mrpnkit``: the command line, also for ``torchrun -m mrpnkit`` and ``accelerate launch -m mrpnkit``."""

from mrpnkit.cli import main

if __name__ == "__main__":
    main()
