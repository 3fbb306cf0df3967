"""The command ``tap-demandbase``: each failure is logged in one sentence and has an exit code."""

from __future__ import annotations

import os

_INTERRUPTED = 130


def main() -> None:
    """Run the tap."""
    try:
        # Not above: even the import of signal takes a while.
        from demandbase_api.startup import end_on_signals  # noqa: PLC0415

        end_on_signals()
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)
    from demandbase_api.process import command  # noqa: PLC0415

    with command():
        _run()


def _run() -> None:
    from demandbase_api.process import loading  # noqa: PLC0415

    with loading("tap_demandbase.tap"):
        from demandbase_api.process import (  # noqa: PLC0415
            exit_with_error,
            hush_sdk,
            log_plain_text,
            log_signal,
        )
        from tap_demandbase.errors import sdk_sentence  # noqa: PLC0415
        from tap_demandbase.tap import CommandTap  # noqa: PLC0415
    log_plain_text()
    hush_sdk(CommandTap.name)
    try:
        with log_signal(CommandTap.logger):
            CommandTap.cli()
    except Exception as error:  # noqa: BLE001 - the last line of the log names any error
        exit_with_error(error, CommandTap.logger, sdk_sentence(error))
