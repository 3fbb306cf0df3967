"""What the command prints: tables for a person, or JSON. No text can control the terminal."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from demandbase_api.redaction import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 160
"""Columns of an output that is no terminal."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table for a person.

    Args:
        title: What its rows are.
        columns: Headings.
        rows: A value for each column.
        if_empty: The sentence that replaces a table without rows.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    if_empty: str


def show(document: object, *parts: Table | str, as_json: bool) -> None:
    """Print a result.

    Args:
        document: The result as JSON.
        parts: The same for a person: tables and sentences.
        as_json: Which of them to print.
    """
    if as_json:
        print_json(document)
        return
    is_terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, width=None if is_terminal else _WIDTH)
    for part in parts:
        if isinstance(part, str):
            console.print(Text(plain(part)), soft_wrap=True)
        elif part.rows:
            console.print(Text(plain(part.title), style="bold"), soft_wrap=True)
            console.print(_rich_table(part))
        else:
            console.print(Text(plain(part.if_empty)), soft_wrap=True)


def print_json(document: object) -> None:
    """Print a document; all its text is ASCII, with escape sequences."""
    print(json.dumps(document, indent=2, default=_json_value), file=sys.stdout)  # noqa: T201


def timestamp(time: datetime | None) -> str | None:
    """Return a time for a person, in UTC and without fractions of a second."""
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _rich_table(table: Table) -> RichTable:
    found = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(table.columns):
        are_numbers = any(_is_number(row[number]) for row in table.rows)
        found.add_column(
            Text(plain(heading)), justify="right" if are_numbers else "left", overflow="fold"
        )
    for row in table.rows:
        found.add_row(*(Text(_text(value)) for value in row))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return timestamp(value) or ""
        case _:
            return plain(str(value))


def _json_value(value: object) -> str:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            raise TypeError(type(value))
