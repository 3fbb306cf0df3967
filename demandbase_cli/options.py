"""Options that all commands have."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from demandbase_cli.settings import ENVIRONMENT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

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


def age_or_date(_context: click.Context, _option: click.Parameter, text: str) -> datetime:
    """Return the time that an option names by an age such as ``2d``, or by a date.

    Raises:
        click.BadParameter: It is neither.
    """
    try:
        if found := _AGE.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "it is neither an age such as 90m, 12h or 2d nor a date such as 2026-01-31"
        ) from None
