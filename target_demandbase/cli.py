"""The command ``target-demandbase``: each error ends in one sentence and an exit code."""

from __future__ import annotations

import os

_INTERRUPTED = 130


def main() -> None:
    """Run the target."""
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

    with loading("target_demandbase.target"):
        from demandbase_api.process import (  # noqa: PLC0415
            exit_with_error,
            hush_sdk,
            log_plain_text,
            log_signal,
        )
        from target_demandbase.errors import sdk_sentence  # noqa: PLC0415
        from target_demandbase.target import TargetDemandbase  # noqa: PLC0415
    logger = TargetDemandbase.logger
    log_plain_text()
    hush_sdk(TargetDemandbase.name)
    try:
        with log_signal(logger):
            TargetDemandbase.cli()
    except Exception as error:  # noqa: BLE001 - the last line of the log must name it
        exit_with_error(error, logger, sdk_sentence(error))
