"""The command line ``gatewaypy``; needs the extra ``gatewaypy[cli]``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what is missing for it."""
    try:
        from gatewaypy.cli.app import app  # noqa: PLC0415 - its extra may not be installed
    except ImportError as error:
        sys.exit(f"the command line needs {error.name}: pip install 'gatewaypy[cli]'")
    app()
