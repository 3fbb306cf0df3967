"""Options that all commands have."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from demandbase_api.redaction import plain
from demandbase_cli.errors import CommandError
from demandbase_cli.settings import ENVIRONMENT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SOURCES, _AS_JSON = f"{__name__}.sources", f"{__name__}.as_json"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"([0-9]{1,6})([mhdw])")


def common_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--config`` and ``--json`` to a command.

    Args:
        function: Called with ``settings`` and ``as_json``, by name like all options.
    """

    @click.option(
        "--config",
        "sources",
        multiple=True,
        metavar="FILE",
        help=f"File with the settings of a plugin, or {ENVIRONMENT} for environment variables "
        "(the default). May be repeated.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON in place of tables.")
    @wraps(function)
    def with_settings(
        sources: tuple[str, ...],
        as_json: bool,  # noqa: FBT001 - click passes it by name
        **options: Any,  # noqa: ANN401
    ) -> None:
        # Contexts of a command and its subcommand share this: options may be given before both.
        shared = click.get_current_context().meta
        shared[_SOURCES] = sources or shared.get(_SOURCES, ())
        shared[_AS_JSON] = as_json or shared.get(_AS_JSON, False)
        function(settings=Settings(shared[_SOURCES]), as_json=shared[_AS_JSON], **options)

    return with_settings


def confirm(lines: Sequence[str]) -> None:
    """Show what will be done, and ask; the last line is the question.

    Raises:
        click.UsageError: Nobody can be asked.
        CommandError: The answer is no.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(
            "There is no terminal to ask at: add --yes", click.get_current_context()
        )
    for line in lines[:-1]:
        click.echo(plain(line), err=True)
    if not click.confirm(plain(lines[-1]), err=True):
        raise CommandError("Nothing was done.")


def age_or_date(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> datetime | None:
    """Return the time that an option names by an age such as ``2d``, or by a date.

    Raises:
        click.BadParameter: It is neither.
    """
    if text is None:
        return None
    try:
        if found := _AGE.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "it is neither an age such as 90m, 12h or 2d nor a date such as 2026-01-31"
        ) from None
