"""Rows of the sample tenant: realistic, and the same for the same seed."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_sandbox.tenant_schema import TenantEntity, TenantField

DEFAULT_ROWS = {
    "accounts": 200,
    "people": 600,
    "opportunities": 150,
    "activities": 2000,
    "campaigns": 20,
    "buying_groups": 40,
}
ID_PREFIX = {
    "accounts": "acc",
    "people": "per",
    "opportunities": "opp",
    "activities": "act",
    "campaigns": "cam",
    "buying_groups": "bgr",
}
_REFERENCES = {"account_id": "accounts", "person_id": "people"}
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_WORDS = (
    "Acme", "Łódź Motors", "Müller & Söhne", "東京ソフト", "Globex", "Initech, Inc.",
    'The "Blue" Company', "Ünal Tekstil", "Østfjord", "Nuñez Hermanos", "Stark", "Café Noir",
)  # fmt: skip
_FIRST = ("Ada", "Grace", "Zoë", "Jörg", "李雷", "Aylin", "Noor", "Łukasz", "Siobhán", "Ivan")
_LAST = ("Lovelace", "Hopper", "O'Neill", "García", "王", "Yılmaz", "Nowak", "Smith", "de Vries")  # noqa: RUF001
_CHOICES = {
    "industry": ("Software", "Manufacturing", "Retail", "Health care", "Finance|Insurance"),
    "stage": ("Qualification", "Proposal", "Negotiation", "Closed won", "Closed lost"),
    "activity_type": ("web_visit", "email_open", "form_fill", "event", "ad_click"),
    "status": ("draft", "live", "paused", "ended"),
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
    entity: TenantEntity, count: int, counts: dict[str, int], seed: int
) -> Iterator[list[str | None]]:
    """Yield the rows of an entity as the texts that an export shows; ``None`` is empty."""
    draw = random.Random(f"{seed}/{entity.name}")  # noqa: S311 - a sample, no secret
    for number in range(1, count + 1):
        created = _EPOCH + timedelta(minutes=draw.randrange(60 * 24 * 700))
        yield [_cell(entity, field, number, created, counts, draw) for field in entity.fields]


def _cell(  # noqa: PLR0911, PLR0913, PLR0917
    entity: TenantEntity,
    field: TenantField,
    number: int,
    created: datetime,
    counts: dict[str, int],
    draw: random.Random,
) -> str | None:
    if field.name == entity.id_field:
        return identifier(entity.name, number)
    if field.name in _REFERENCES:
        referred = _REFERENCES[field.name]
        return identifier(referred, 1 + number % max(1, counts.get(referred, 1)))
    match field.name:
        case "domain":
            return f"company{number}.example"
        case "email":
            return f"person{number}@company{1 + number % max(1, counts['accounts'])}.example"
        case "created_at":
            return _moment(created)
        case "updated_at" | "activity_at":
            return _moment(created + timedelta(seconds=draw.randrange(86400 * 30)))
        case _:
            pass
    if not field.required and draw.random() < 0.1:  # noqa: PLR2004
        return None
    return _typed_cell(field, number, created, draw)


def _typed_cell(  # noqa: C901, PLR0911
    field: TenantField, number: int, created: datetime, draw: random.Random
) -> str:
    if field.name in _CHOICES:
        return draw.choice(_CHOICES[field.name])
    match field.type:
        case "integer":
            return str(draw.randrange(10_000))
        case "long":
            return str(2**53 + number if number % 10 == 0 else draw.randrange(10**6))
        case "number" | "double" | "percent":
            return f"{draw.uniform(0, 100):.4f}"
        case "currency":
            return f"{draw.uniform(0, 10**7):.2f}"
        case "boolean":
            return draw.choice(("true", "false"))
        case "date":
            return (date(2024, 1, 1) + timedelta(days=draw.randrange(900))).isoformat()
        case "datetime":
            return _moment(created)
        case "text":
            return draw.choice(_TEXTS)
        case "url":
            return f"https://company{number}.example/"
        case _:
            return _name(field.name, number, draw)


def _name(field: str, number: int, draw: random.Random) -> str:
    match field:
        case "first_name":
            return draw.choice(_FIRST)
        case "last_name":
            return draw.choice(_LAST)
        case "phone":
            return f"+1 555 {draw.randrange(10**6):06d}"
        case _:
            return f"{draw.choice(_WORDS)} {number}"


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
