"""The command line: ``mrpnkit COMMAND``, thin over the library.

Exit codes: 0 everything is fine; 1 a check found something that makes a result worthless; 2 a mistake of the user,
told in a sentence; 3 a training stopped before its end.
"""

from mrpnkit.cli.application import app, main

__all__ = ["app", "main"]
