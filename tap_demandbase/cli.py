"""The command ``tap-demandbase``: every failure ends in one sentence and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import simplejson  # the SDK reads its files with it

from demandbase_api.environment import environment_problem
from demandbase_api.errors import EXIT_FAILURE, DemandbaseError
from tap_demandbase.command import CommandTap, OutputClosedError

_PLACES = 4


def main() -> None:
    """Run the tap."""
    try:
        CommandTap.cli()
    except OutputClosedError as error:
        CommandTap.logger.critical("%s", error)
        # Python would flush the broken pipe once more at its end, and complain.
        sys.stdout = None
        sys.exit(EXIT_FAILURE)
    except DemandbaseError as error:
        CommandTap.logger.critical("%s", error)
        sys.exit(error.exit_code)
    except FileNotFoundError as error:
        CommandTap.logger.critical("%s", error)
        sys.exit(EXIT_FAILURE)
    except simplejson.JSONDecodeError as error:
        CommandTap.logger.critical(
            "%s",
            _of_environment()
            or f"A file given on the command line is no valid JSON (line {error.lineno}).",
        )
        sys.exit(EXIT_FAILURE)
    except Exception as error:  # noqa: BLE001 - no traceback: its last line may quote a record
        if isinstance(error, ValueError) and (problem := _of_environment()):
            CommandTap.logger.critical("%s", problem)
            sys.exit(EXIT_FAILURE)
        places = [
            f"{Path(place.filename).name}:{place.lineno}"
            for place in traceback.extract_tb(error.__traceback__)[-_PLACES:]
        ]
        CommandTap.logger.critical(
            "Unexpected %s at %s; its text is left out since it may quote a record. "
            "If stream_maps are in use, check their expressions; else report this as a bug.",
            type(error).__name__,
            " > ".join(places),
        )
        sys.exit(EXIT_FAILURE)


def _of_environment() -> str | None:
    """Return what is wrong with an environment variable, where the SDK could not read one."""
    schema = CommandTap.config_jsonschema
    return environment_problem(schema, "TAP_DEMANDBASE_", os.environ)
