"""The command line: `qts-engine`."""

import sys
from collections.abc import Sequence

from qts.codes import QtsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 the run ended in a fault, 2 bad usage or configuration.

    A mistake of the user is told in a few lines, never with a traceback.
    """
    from qts.cli.app import app

    try:
        app(args=None if argv is None else list(argv))
    except QtsError as error:
        sys.stderr.write(f"{error.render()}\n")
        return error.exit_code
    except SystemExit as done:
        # The option parser ends this way, with 2 for what it refuses.
        return done.code if isinstance(done.code, int) else 0
    return 0
