"""The command ``target-demandbase``: every failure ends in one sentence and an exit code."""

from __future__ import annotations

import sys

from singer_sdk.exceptions import (
    InvalidRecord,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)

from demandbase_api.errors import EXIT_FAILURE, DemandbaseError
from target_demandbase.target import TargetDemandbase


def main() -> None:
    """Run the target."""
    try:
        TargetDemandbase.cli()
    except DemandbaseError as error:
        TargetDemandbase.logger.critical("%s", error)
        sys.exit(error.exit_code)
    except (InvalidRecord, MissingKeyPropertiesError, RecordsWithoutSchemaException) as error:
        # The SDK's sentence names properties only: the validator keeps values out of it.
        TargetDemandbase.logger.critical("%s", " ".join(str(error.args[0]).split()))
        sys.exit(EXIT_FAILURE)
