"""The command line ``gatewaypy``; needs the extra ``gatewaypy[cli]``."""

from __future__ import annotations

import contextlib
import io
import sys


def main() -> None:
    """Run the command line, or report which package it lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or pipe with another charset shows an escape for a character it lacks.
            stream.reconfigure(errors="backslashreplace")
    try:
        from gatewaypy.cli.app import app  # noqa: PLC0415 - its extra may not be installed
        from gatewaypy.cli.command import errors_named  # noqa: PLC0415 - see above
    except ImportError as error:
        sys.exit(f"the command line needs {error.name}: pip install 'gatewaypy[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    with errors_named():
        try:
            app()
        finally:
            with contextlib.suppress(ValueError):
                # A failure at the interpreter's exit would be reported as an ignored exception.
                sys.stdout.flush()
