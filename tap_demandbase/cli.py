"""The command ``tap-demandbase``: every failure ends in one sentence and an exit code."""

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
        # Python would flush the broken pipe once more at its end, and complain.
        sys.stdout = None
        sys.exit(EXIT_FAILURE)
    except Exception as error:  # noqa: BLE001 - whatever it is, the last line says so
        exit_with_error(
            error,
            CommandTap.logger,
            CommandTap.config_jsonschema,
            "TAP_DEMANDBASE_",
            "stream_maps",
        )
