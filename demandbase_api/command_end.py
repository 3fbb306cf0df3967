"""Ends a command that failed: one sentence, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import simplejson  # whose errors the plugins' files end in

from demandbase_api.environment import environment_problem
from demandbase_api.errors import EXIT_FAILURE, DemandbaseError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

_PLACES = 4


def end_command(
    error: Exception,
    logger: logging.Logger,
    schema: Mapping[str, Any],
    prefix: str,
    expressions: str,
) -> NoReturn:
    """Say why a command failed, without a value, and end it.

    Args:
        error: Why.
        logger: Where to say it.
        schema: The JSON schema of the command's settings.
        prefix: What the names of their environment variables begin with.
        expressions: The setting that holds expressions of the user's own, which may fail.
    """
    logger.critical("%s", _sentence(error, schema, prefix, expressions))
    sys.exit(error.exit_code if isinstance(error, DemandbaseError) else EXIT_FAILURE)


def _sentence(error: Exception, schema: Mapping[str, Any], prefix: str, expressions: str) -> str:
    if isinstance(error, (DemandbaseError, FileNotFoundError)):
        return str(error)
    if isinstance(error, ValueError) and (
        problem := environment_problem(schema, prefix, os.environ)
    ):
        return problem
    if isinstance(error, simplejson.JSONDecodeError):
        return f"A file given on the command line is no valid JSON (line {error.lineno})."
    # No traceback: its last line may quote a record.
    places = [
        f"{Path(place.filename).name}:{place.lineno}"
        for place in traceback.extract_tb(error.__traceback__)[-_PLACES:]
    ]
    return (
        f"Unexpected {type(error).__name__} at {' > '.join(places)}; its text is left out since it "
        f"may quote a record. If {expressions} are in use, check their expressions; else report "
        "this as a bug."
    )
