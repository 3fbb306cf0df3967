"""Rows of the sample tenant: realistic, and determined by the seed."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from demandbase_sandbox.tenant.schema import TenantEntity, TenantField

    Draw = Callable[[], float]
    Cell = Callable[[int], str | None]

DEFAULT_ROWS = {
    "accounts": 200,
    "people": 600,
    "opportunities": 150,
    "activities": 2000,
    "campaigns": 20,
    "buying_groups": 40,
    "creatives": 60,
    "buying_group_members": 120,
}

LIST_NUMBERS = (1, 2)
"""Lists of the sample tenant: list N has the records whose id ends in the digit N."""

_LISTED = {"account": "accounts", "person": "people"}

ID_PREFIX = {
    "accounts": "acc",
    "people": "per",
    "opportunities": "opp",
    "activities": "act",
    "campaigns": "cam",
    "buying_groups": "bgr",
    "creatives": "cre",
    "buying_group_members": "mem",
}

EMPTY_SHARE = 0.1

_REFERENCES = {
    "account_id": "accounts",
    "person_id": "people",
    "campaign_id": "campaigns",
    "buying_group_id": "buying_groups",
}

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)

_DAYS = 700

_WORDS = (
    "Acme", "Łódź Motors", "Müller & Söhne", "東京ソフト", "Globex", "Initech, Inc.",
    'The "Blue" Company', "Ünal Tekstil", "Østfjord", "Nuñez Hermanos", "Stark", "Café Noir",
)  # fmt: skip

_CHOICES = {
    "industry": ("Software", "Manufacturing", "Retail", "Health care", "Finance|Insurance"),
    "stage": ("Qualification", "Proposal", "Negotiation", "Closed won", "Closed lost"),
    "activity_type": ("web_visit", "email_open", "form_fill", "event", "ad_click"),
    "status": ("draft", "live", "paused", "ended"),
    "role": ("Champion", "Decision maker", "Influencer"),
    "first_name": ("Ada", "Grace", "Zoë", "Jörg", "李雷", "Aylin", "Noor", "Łukasz", "Siobhán"),
    "last_name": ("Lovelace", "Hopper", "O'Neill", "García", "王", "Yılmaz", "Nowak", "de Vries"),  # noqa: RUF001
}

_TEXTS = (
    "Call back in May",
    "Line one\r\nline two",
    'She said "yes", then left',
    "naïve 😀, with a comma",
    " leading and trailing ",
    "NULL",
)


def identifier(entity: str, number: int) -> str:
    """Return the id of a sample row."""
    return f"{ID_PREFIX.get(entity, 'row')}-{number:08d}"


def sample_rows(
    entity: TenantEntity, count: int, counts: Mapping[str, int], seed: int
) -> Iterator[list[str | None]]:
    """Yield the rows of an entity, with values as in an export; ``None`` is empty."""
    if (listed := _lists(entity.name, counts)) is not None:
        yield from listed
        return
    draw = random.Random(f"{seed}/{entity.name}").random  # noqa: S311 - a sample, no secret
    # Each field's generator is chosen once: there may be millions of rows.
    cells = [_cell(entity, field, counts, draw) for field in entity.fields]
    for number in range(1, count + 1):
        yield [cell(number) for cell in cells]


def _lists(entity: str, counts: Mapping[str, int]) -> Iterator[list[str | None]] | None:
    for member, referred in _LISTED.items():
        if entity == f"{member}_lists":
            return ([str(number), f"Sample {member} list {number}"] for number in LIST_NUMBERS)
        if entity == f"{member}_list_members":
            return (
                [str(number), identifier(referred, row)]
                for number in LIST_NUMBERS
                for row in range(number, counts[referred] + 1, 10)
            )
    return None


def _cell(  # noqa: PLR0911 - one for each kind of field
    entity: TenantEntity, field: TenantField, counts: Mapping[str, int], draw: Draw
) -> Cell:
    if field.name == entity.id_field:
        return lambda number: identifier(entity.name, number)
    if field.name in _REFERENCES:
        referred = _REFERENCES[field.name]
        known = max(1, counts.get(referred, 1))
        return lambda number: identifier(referred, 1 + number % known)
    if field.name == "domain":
        return lambda number: f"company{number}.example"
    if field.name == "email":
        accounts = max(1, counts["accounts"])
        return lambda number: f"person{number}@company{1 + number % accounts}.example"
    if field.name in {"created_at", "updated_at", "activity_at"}:
        return _moment(draw, later=field.name != "created_at")
    typed = _typed_cell(field, draw)
    if field.required:
        return typed
    return lambda number: None if draw() < EMPTY_SHARE else typed(number)


def _typed_cell(field: TenantField, draw: Draw) -> Cell:  # noqa: C901, PLR0911
    if field.name in _CHOICES:
        return _choice(_CHOICES[field.name], draw)
    match field.type:
        case "integer":
            return lambda _: str(int(draw() * 10_000))
        case "long":
            return lambda number: str(2**53 + number if number % 10 == 0 else int(draw() * 10**6))
        case "number" | "double" | "percent":
            return lambda _: f"{draw() * 100:.4f}"
        case "currency":
            return lambda _: f"{draw() * 10**7:.2f}"
        case "boolean":
            return _choice(("true", "false"), draw)
        case "date":
            days = [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(900)]
            return _choice(days, draw)
        case "datetime":
            return _moment(draw)
        case "text":
            return _choice(_TEXTS, draw)
        case "url":
            return lambda number: f"https://company{number}.example/"
        case _ if field.name == "phone":
            return lambda _: f"+1 555 {int(draw() * 10**6):06d}"
        case _:
            words = _choice(_WORDS, draw)
            return lambda number: f"{words(number)} {number}"


def _choice(values: Sequence[str], draw: Draw) -> Cell:
    count = len(values)
    return lambda _: values[int(draw() * count)]


def _moment(draw: Draw, *, later: bool = False) -> Cell:
    """Return a generator of timestamps; with ``later``, after all others of the tenant."""
    first = _EPOCH + timedelta(days=_DAYS if later else 0)
    span = 30 if later else _DAYS
    days = [(first + timedelta(days=n)).strftime("%Y-%m-%dT") for n in range(span)]

    def cell(_: int) -> str:
        minute = int(draw() * span * 1440)
        day, minute = divmod(minute, 1440)
        return f"{days[day]}{minute // 60:02d}:{minute % 60:02d}:{int(draw() * 60):02d}Z"

    return cell
