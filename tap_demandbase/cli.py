"""The command ``tap-demandbase``: each failure is logged in one sentence and has an exit code."""

from __future__ import annotations

import sys

from demandbase_api.process import loading


def main() -> None:
    """Run the tap."""
    with loading("tap_demandbase.tap"):
        from demandbase_api.errors import EXIT_FAILURE  # noqa: PLC0415
        from demandbase_api.process import exit_with_error  # noqa: PLC0415
        from tap_demandbase.tap import CommandTap, OutputClosedError  # noqa: PLC0415
    try:
        CommandTap.cli()
    except OutputClosedError as error:
        CommandTap.logger.critical("%s", error)
        # At exit, Python would flush the broken pipe again and log the error.
        sys.stdout = None
        sys.exit(EXIT_FAILURE)
    except Exception as error:  # noqa: BLE001 - the last line of the log names any error
        exit_with_error(
            error,
            CommandTap.logger,
            CommandTap.config_jsonschema,
            "TAP_DEMANDBASE_",
            "stream_maps",
        )
