"""The columns of the data, and how their values are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Draw = Callable[[random.Random, int], object]

KEY = "account_id"
KEY_MARK = b"bench-"
"""Start of each row's key. It occurs nowhere else, so that counting it counts rows."""


class Kind(StrEnum):
    """Type of a column, in the words of the export API."""

    STRING = "string"
    INTEGER = "long"
    NUMBER = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "datetime"


_SCHEMAS: dict[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": ["null", "string"]},
    Kind.INTEGER: {"type": ["null", "integer"]},
    Kind.NUMBER: {"type": ["null", "number"]},
    Kind.BOOLEAN: {"type": ["null", "boolean"]},
    Kind.DATE: {"type": ["null", "string"], "format": "date"},
    Kind.DATE_TIME: {"type": ["null", "string"], "format": "date-time"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Args:
        draw: Returns a value from a random generator and the row's number.
        empty: Share of empty values, from 0 to 1.
    """

    name: str
    kind: Kind
    draw: Draw
    empty: float = 0.0

    def value(self, chance: random.Random, number: int) -> object:
        """Return a row's value; ``None`` is an empty one."""
        if self.empty and chance.random() < self.empty:
            return None
        return self.draw(chance, number)


def schema_of(columns: tuple[Column, ...]) -> dict[str, Any]:
    """Return the JSON Schema of columns."""
    return {
        "type": "object",
        "properties": {column.name: dict(_SCHEMAS[column.kind]) for column in columns},
    }


def key_of(copy: int, number: int) -> str:
    """Return the key of a row in a copy of the base rows; all keys have the same length."""
    return f"{KEY_MARK.decode()}{copy:05d}-{number:07d}"


def _choice(*values: object) -> Draw:
    return lambda chance, _: chance.choice(values)


def _whole(least: int, most: int) -> Draw:
    return lambda chance, _: chance.randint(least, most)


def _decimal(most: float, digits: int) -> Draw:
    return lambda chance, _: round(chance.random() * most, digits)


def _day(chance: random.Random, _: int) -> str:
    return (date(2018, 1, 1) + timedelta(days=chance.randrange(3000))).isoformat()


def _moment(chance: random.Random) -> datetime:
    return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(2 * 10**8))


def _timestamp(chance: random.Random, _: int) -> str:
    return _moment(chance).strftime("%Y-%m-%dT%H:%M:%SZ")


BOOLEANS = (True, False)
_NAMES = (
    "Acme", "Łódź Motors", "Müller & Söhne", "東京ソフト", "Initech, Inc.", 'The "Blue" Company',
    "Østfjord", "Nuñez Hermanos", "Café Noir",
)  # fmt: skip
_TEXTS = (
    "Call back in May", "Line one\nline two", 'She said "yes", then left', "naïve 😀, with a comma",
    " leading and trailing ", "NULL", "first\r\nsecond\r\nthird",
)  # fmt: skip
_LONG = (
    "Met at the fair in Köln; they compare three vendors, want a pilot before the summer, and "
    "asked for a quote with support in two languages."
)

WIDE = (
    Column(KEY, Kind.STRING, lambda _, number: key_of(0, number)),
    Column("domain", Kind.STRING, lambda _, number: f"company{number}.example"),
    Column("name", Kind.STRING, lambda chance, number: f"{chance.choice(_NAMES)} {number}"),
    Column("industry", Kind.STRING, _choice("Software", "Retail", "Finance|Insurance", "Health")),
    Column("country", Kind.STRING, _choice("Türkiye", "Deutschland", "日本", "United States")),
    Column("website", Kind.STRING, lambda _, number: f"https://company{number}.example/?a=1,2"),
    Column("notes", Kind.STRING, _choice(*_TEXTS), 0.3),
    Column("description", Kind.STRING, lambda chance, _: f"{chance.choice(_TEXTS)}. {_LONG}"),
    Column("segment", Kind.STRING, _choice("enterprise", "Größe S", "mid"), 0.5),
    Column("owner", Kind.STRING, _choice("Zoë", "李雷", "O'Neill, Siobhán", "de Vries")),
    Column("phone", Kind.STRING, lambda chance, _: f"+1 555 {chance.randrange(10**6):06d}", 0.2),
    Column("zip_code", Kind.STRING, lambda chance, _: f"{chance.randrange(10**5):05d}"),
    Column("employee_count", Kind.INTEGER, _whole(1, 100_000), 0.1),
    Column("global_number", Kind.INTEGER, lambda _, number: 2**53 + 1 + number),
    Column("visits", Kind.INTEGER, _whole(0, 10**6)),
    Column("balance", Kind.INTEGER, _whole(-(10**12), 10**12)),
    Column("open_tasks", Kind.INTEGER, _whole(0, 50), 0.3),
    Column("annual_revenue", Kind.NUMBER, _decimal(10**7, 2), 0.1),
    Column("engagement_score", Kind.NUMBER, _decimal(100, 4)),
    Column("latitude", Kind.NUMBER, _decimal(90, 6)),
    Column("probability", Kind.NUMBER, _decimal(1, 3), 0.4),
    Column("is_target", Kind.BOOLEAN, _choice(*BOOLEANS)),
    Column("is_customer", Kind.BOOLEAN, _choice(*BOOLEANS)),
    Column("has_intent", Kind.BOOLEAN, _choice(*BOOLEANS), 0.3),
    Column("renewal_date", Kind.DATE, _day),
    Column("founded_on", Kind.DATE, _day, 0.2),
    Column("created_at", Kind.DATE_TIME, _timestamp),
    Column("updated_at", Kind.DATE_TIME, _timestamp),
    Column("scored_at", Kind.DATE_TIME, _timestamp, 0.2),
    Column("unused", Kind.STRING, _choice("x"), 1.0),
)
"""30 columns."""
HALF = WIDE[::2]
"""15 of them, of all kinds, with the key."""
NARROW = (
    WIDE[0],
    Column("visits", Kind.INTEGER, _whole(0, 10**6)),
    Column("updated_at", Kind.DATE_TIME, _timestamp),
)
"""3 columns."""


def _sometimes(draw: Draw, *values: object) -> Draw:
    """Return a draw that gives one of the values in one row of five."""
    return lambda chance, number: (
        chance.choice(values) if chance.random() < 0.2 else draw(chance, number)  # noqa: PLR2004
    )


def _amount(chance: random.Random, _: int) -> Decimal:
    return Decimal(chance.randrange(2 * 10**9)).scaleb(-2)


def _score(chance: random.Random, _: int) -> Decimal:
    return Decimal(chance.randrange(10**6)).scaleb(-4)


def _instant(*microseconds: int) -> Draw:
    """Return a draw of date-times with one of these fractions, or with any if none is given."""

    def draw(chance: random.Random, _: int) -> datetime:
        fraction = chance.choice(microseconds) if microseconds else chance.randrange(10**6)
        return _moment(chance).replace(microsecond=fraction)

    return draw


_VARIED_DRAWS: dict[str, Draw] = {
    "visits": _sometimes(_whole(0, 10**6), 0, 1000, 20_000, 300_000),
    "annual_revenue": _sometimes(_amount, Decimal("10.00"), Decimal("1000000.00"), Decimal("0.10")),
    "engagement_score": _sometimes(
        _score, Decimal("10.0"), Decimal("0.1"), Decimal(1000), Decimal("1E-8")
    ),
    "latitude": _sometimes(_decimal(90, 6), 10.0, 1e6, 1e16),
    "probability": _sometimes(_decimal(1, 3), 0.1, 1.0, 1e-7),
    "created_at": _instant(),
    "updated_at": _instant(0, 120_000, 250_000, 999_000),
    "scored_at": _instant(0),
}
VARIED = tuple(
    Column(it.name, it.kind, _VARIED_DRAWS.get(it.name, it.draw), it.empty) for it in WIDE
)
"""The same 30 columns with the values that can be spelled in several ways.

Numbers are ``Decimal`` as a database has them, or ``float``, and date-times have an offset.
"""


def _with_line_feeds(column: Column) -> Column:
    def draw(chance: random.Random, number: int) -> object:
        value = column.draw(chance, number)
        return value.replace("\r\n", "\n") if isinstance(value, str) else value

    return Column(column.name, column.kind, draw, column.empty)


LINE_FEEDS = tuple(map(_with_line_feeds, VARIED))
"""The same with LF for CRLF in texts, for programs that do not keep CRLF."""
