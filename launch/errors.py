"""Errors as one line and an exit code, the same for every command."""

from __future__ import annotations

import sys
from collections.abc import Callable


def exit_code(name: str, run: Callable[[], int | None], debug: bool = False) -> int:
    """Call ``run``; turn the errors that users meet into one line on stderr that begins with ``name``.

    Args:
        debug: raise them instead.

    Returns:
        What ``run`` returns (None counts as 0); 2 for wrong usage or bad input; 1 for a failure or an interruption.
    """
    try:
        return run() or 0
    except KeyboardInterrupt:
        line, code = "interrupted; run the same command again to go on from the last checkpoint.", 1
        name = name.split()[0]
    except (ValueError, FileNotFoundError, RuntimeError, OSError) as error:
        if debug:
            raise
        code = 2 if isinstance(error, (ValueError, FileNotFoundError)) else 1
        line = " ".join(str(error).split())
    print(f"{name}: {line}", file=sys.stderr)
    return code
