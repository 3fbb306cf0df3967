"""The command ``demandbase``: each failure ends in one sentence and an exit code."""

from __future__ import annotations

import os

_INTERRUPTED = 130


def main() -> None:
    """Run the command."""
    try:
        # Not above: even the import of signal takes a while.
        from demandbase_api.startup import end_on_signals  # noqa: PLC0415

        end_on_signals(" before the command was done")
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)
    from demandbase_api.process import command  # noqa: PLC0415

    with command():
        _run()


def _run() -> None:
    from demandbase_api.process import loading  # noqa: PLC0415

    with loading("demandbase_cli.commands"):
        import sys  # noqa: PLC0415

        from demandbase_cli.commands import run  # noqa: PLC0415
        from demandbase_cli.signals import end_at_once  # noqa: PLC0415
    end_at_once()
    sys.exit(run(sys.argv[1:]))
