"""The command ``tap-demandbase``: each failure is logged in one sentence and has an exit code."""

from __future__ import annotations

import sys

from demandbase_api.process import loading


def main() -> None:
    """Run the tap."""
    with loading("tap_demandbase.tap"):
        from demandbase_api.process import (  # noqa: PLC0415
            exit_with_error,
            log_plain_text,
            log_signal,
        )
        from tap_demandbase.tap import CommandTap  # noqa: PLC0415
    log_plain_text()
    try:
        with log_signal(CommandTap.logger):
            CommandTap.cli()
    except Exception as error:  # noqa: BLE001 - the last line of the log names any error
        exit_with_error(
            error,
            CommandTap.logger,
            CommandTap.config_jsonschema,
            "TAP_DEMANDBASE_",
            "stream_maps",
        )
    finally:
        _drop_broken_output()


def _drop_broken_output() -> None:
    """Keep Python from flushing an output at exit that cannot be written, and logging the error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = None
