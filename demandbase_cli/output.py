"""What the command prints: tables for a person, or JSON. No text can control the terminal."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from demandbase_api.redaction import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.table import Table as RichTable

_UNLIMITED = 10_000
"""Columns of an output that is no terminal: no line is broken."""
_WRAPPED = 30
"""Least width to which the last column of a table is wrapped."""


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


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one thing, a line for each fact, for a person.

    Args:
        title: What the facts are about.
        values: Value by name; unknown ones are left out.
    """

    title: str
    values: Mapping[str, object]


def show(document: object, *parts: Table | Facts | str, as_json: bool) -> None:
    """Print a result.

    Args:
        document: The result as JSON.
        parts: The same for a person: tables, facts and sentences.
        as_json: Which of them to print.
    """
    if as_json:
        print_json(document)
        return
    # Commands start without rich.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    is_terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, width=None if is_terminal else _UNLIMITED)
    for part in parts:
        if isinstance(part, str):
            console.print(Text(plain(part)), soft_wrap=True)
        elif isinstance(part, Facts):
            console.print(Text(plain(part.title), style="bold"), soft_wrap=True)
            for line in _fact_lines(part):
                console.print(Text(line), soft_wrap=True)  # whole, to be copied
        elif part.rows:
            console.print(Text(plain(part.title), style="bold"), soft_wrap=True)
            if _fits(part, console.width):
                console.print(_rich_table(part))
            else:
                _print_blocks(console, part)
        else:
            console.print(Text(plain(part.if_empty)), soft_wrap=True)


def print_json(document: object) -> None:
    """Print a document; all its text is ASCII, with escape sequences."""
    print(json.dumps(document, indent=2, default=_json_value), file=sys.stdout)  # noqa: T201


def timestamp(time: datetime | None) -> str | None:
    """Return a time for a person, in UTC and without fractions of a second."""
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _fact_lines(facts: Facts) -> list[str]:
    known = {name: text for name, value in facts.values.items() if (text := _text(value))}
    width = max(map(len, known), default=0)
    return [f"  {plain(name):{width}}  {text}" for name, text in known.items()]


def _fits(table: Table, width: int) -> bool:
    """Return whether a table fits if only the last column is wrapped."""
    widths = [
        max(len(_text(cell)) for cell in (heading, *(row[number] for row in table.rows)))
        for number, heading in enumerate(table.columns)
    ]
    widths[-1] = min(widths[-1], _WRAPPED)
    return sum(widths) + 3 * len(widths) <= width


def _print_blocks(console: Console, table: Table) -> None:
    """Print the rows of a table that is too wide one below the other, so that no cell is broken."""
    from rich.text import Text  # noqa: PLC0415

    for row in table.rows:
        console.print()
        for line in _fact_lines(Facts("", dict(zip(table.columns, row, strict=True)))):
            console.print(Text(line), soft_wrap=True)


def _rich_table(table: Table) -> RichTable:
    from rich import box  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    found = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(table.columns):
        are_numbers = any(_is_number(row[number]) for row in table.rows)
        found.add_column(
            Text(plain(heading)),
            justify="right" if are_numbers else "left",
            no_wrap=number < len(table.columns) - 1,
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
