"""The command ``tap-demandbase``: every failure ends in one sentence and an exit code."""

from __future__ import annotations

import sys

import simplejson  # the SDK reads its files with it

from demandbase_api.errors import EXIT_FAILURE, DemandbaseError
from tap_demandbase.tap import TapDemandbase


def main() -> None:
    """Run the tap."""
    try:
        TapDemandbase.cli()
    except DemandbaseError as error:
        TapDemandbase.logger.critical("%s", error)
        sys.exit(error.exit_code)
    except FileNotFoundError as error:
        TapDemandbase.logger.critical("%s", error)
        sys.exit(EXIT_FAILURE)
    except simplejson.JSONDecodeError as error:
        TapDemandbase.logger.critical(
            "A file given on the command line is no valid JSON (line %d).", error.lineno
        )
        sys.exit(EXIT_FAILURE)
    except BrokenPipeError:
        TapDemandbase.logger.critical("The target stopped reading: see its own messages.")
        # Python would flush the broken pipe once more at its end, and complain.
        sys.stdout = None
        sys.exit(EXIT_FAILURE)
