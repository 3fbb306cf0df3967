"""Rows of an import file: matched by the published rules, then written to the tenant.

- An account is matched by its external id, else by domain and name together. If none matches,
  the row is dropped.
- A person is matched by External Person Id, else added. Its account is found by external account
  id, domain or name; it may have none.
- An opportunity is matched by its id, else added. A row without a known account is dropped.
- An activity is always added. A row without a known person is dropped.

With a source, headers that its field mappings name are the labels of the fields that they name.

A row is also dropped if a required value is empty, a value does not have its field's type, or
several records match. The API does not report dropped rows. An empty value empties the field.
The documentation says less than this; it is the strictest reading.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal

from demandbase_sandbox.tenant.files import read_rows
from demandbase_sandbox.tenant.schema import TenantField, fits
from demandbase_sandbox.uapi.entities import STANDARD, label_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from demandbase_sandbox.tenant.store import Store

REQUIRED = {
    "accounts": ("Account Name", "Account Domain"),
    "people": ("First Name", "Last Name", "Email", "External Person Id"),
    "opportunities": (
        "External Opportunity ID", "Opportunity Name", "Account Name", "Account Domain",
    ),
    "activities": ("External Person Id", "Activity Date"),
}  # fmt: skip
"""Headers that a file must have and whose values must not be empty."""

_BY_NAME = ("Account Domain", "Account Name")

ACCOUNT_REFERENCE = {
    "accounts": ("External Account ID", *_BY_NAME),
    "people": ("External Account Id", *_BY_NAME),
    "opportunities": ("External Account ID", *_BY_NAME),
    "activities": (),
}
"""Headers by which rows find their account; the first match counts. People have a spelling of their
own."""

_GENERATED = {"activities": frozenset({"activity_id", "account_id", "activity_type"})}
"""Fields that the tenant fills itself; columns for them are ignored."""

Row = dict[str, str]

Match = tuple[bool, int | None]
"""Whether a row is applied, and the row id in SQLite of the record that it updates."""

ListAction = Literal["replace", "insert", "delete", "noop"]

DEFAULT_ACTION: ListAction = "replace"

_LIST = "account_lists"

_MEMBERS = "account_list_members"


@dataclass(slots=True)
class ImportOutcome:
    """The result of an import, which the API does not report.

    Args:
        created_fields: Headers that created a field.
        ids: Ids of the records that were added or updated.
    """

    read: int = 0
    added: int = 0
    updated: int = 0
    dropped: int = 0
    created_fields: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImportRules:
    """What the file of a job must have, and how its headers are read.

    Args:
        required: Headers that it must have and whose values must not be empty.
        activity_type: Name of the activity type; ``None`` for other entities.
        type_fields: Fields of the activity type: their headers create no other field.
        labels: Name of the tenant's field by label of the source. Other headers are read as without
            a source, which is not documented.
    """

    required: tuple[str, ...]
    activity_type: str | None = None
    type_fields: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def read(self, headers: Sequence[str], store: Store, entity: str) -> list[str]:
        """Return the headers, those of the source as the labels of the fields that they fill."""
        fields = {each.name: label_of(entity, each) for each in store.entities[entity].fields}
        return [fields.get(self.labels.get(header, ""), header) for header in headers]


class UapiRowImporter:
    """Applies the rows of one job.

    Args:
        entity: The tenant's entity.
        rules: How its file is read.
        now: Timestamp of new and changed rows.
    """

    def __init__(self, store: Store, entity: str, rules: ImportRules, now: str) -> None:
        self._store = store
        self._entity = entity
        self._rules = rules
        self._now = now

    def run(self, path: Path, limit: int | None) -> ImportOutcome:
        """Apply all rows, or the first ``limit`` ones."""
        outcome = ImportOutcome()
        rows = read_rows(path)
        headers = self._rules.read(next(rows), self._store, self._entity)
        type_fields, created = self._rules.type_fields, outcome.created_fields
        with self._store.transaction():
            columns = import_columns(self._store, self._entity, headers, created, type_fields)
            for cells in islice(rows, limit):
                outcome.read += 1
                self._apply(columns, dict(zip(headers, cells, strict=True)), outcome)
        return outcome

    def _apply(self, columns: list[ImportColumn], row: Row, outcome: ImportOutcome) -> None:
        values = {item.field.name: row[item.header] for item in columns if item.field is not None}
        applies, record = False, None
        if self._is_valid(columns, row):
            applies, record = self._match(row, values)
        if not applies:
            outcome.dropped += 1
            return
        outcome.added += record is None
        outcome.updated += record is not None
        outcome.ids.append(self._write(record, values))

    def _is_valid(self, columns: list[ImportColumn], row: Row) -> bool:
        if not all(row.get(header) for header in self._rules.required):
            return False
        typed = ((item.field, row[item.header]) for item in columns if item.field is not None)
        return all(not cell or fits(known.type, cell) for known, cell in typed)

    def _match(self, row: Row, values: dict[str, str]) -> Match:
        match self._entity:
            case "accounts":
                account = self._account(row, together=True)
                return account is not None, account
            case "people":
                values |= self._account_of(row)
                return self._by_id(values)
            case "opportunities":
                found = self._account_of(row)
                values |= found
                return self._by_id(values) if found else (False, None)
            case _:
                return self._new_activity(values), None

    def _by_id(self, values: Mapping[str, str]) -> Match:
        id_field = self._store.entities[self._entity].id_field
        found = self._store.find(self._entity, id_field, values[id_field])
        return len(found) <= 1, found[0] if found else None

    def _account_of(self, row: Row) -> dict[str, str]:
        account = self._account(row, together=False)
        if account is None:
            return {}
        return {"account_id": self._text("accounts", account, "account_id")}

    def _account(self, row: Row, *, together: bool) -> int | None:
        external, domain, name = (row.get(header, "") for header in ACCOUNT_REFERENCE[self._entity])
        if external and (found := self._store.find("accounts", "account_id", external)):
            return _only(found)
        by_domain = self._store.find("accounts", "domain", domain) if domain else []
        if together:
            return _only([one for one in by_domain if self._text("accounts", one, "name") == name])
        if by_domain:
            return _only(by_domain)
        return _only(self._store.find("accounts", "name", name)) if name else None

    def _new_activity(self, values: dict[str, str]) -> bool:
        person = _only(self._store.find("people", "person_id", values.get("person_id", "")))
        if person is None:
            return False
        values["activity_type"] = self._rules.activity_type or ""
        values["account_id"] = self._text("people", person, "account_id")
        return True

    def _write(self, record: int | None, values: Mapping[str, str]) -> str:
        entity = self._store.entities[self._entity]
        cells: dict[str, str | None] = {name: value or None for name, value in values.items()}
        if record is not None:
            # A record keeps its id, also if it was matched by something else.
            cells.pop(entity.id_field, None)
            own_id = self._text(self._entity, record, entity.id_field)
        else:
            own_id = cells.get(entity.id_field) or str(uuid.uuid4())
            cells[entity.id_field] = own_id
        self._store.write(self._entity, record, cells, self._now)
        return own_id

    def _text(self, entity: str, record: int, name: str) -> str:
        rows = self._store.select(entity, [name], "rowid = ?", [str(record)])
        return next(iter(rows))[0] or ""


def _only(found: list[int]) -> int | None:
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class ImportColumn:
    """A column and the field that it fills, if any."""

    header: str
    field: TenantField | None


def import_columns(
    store: Store,
    entity_name: str,
    headers: Sequence[str],
    created: list[str],
    type_fields: Collection[str] = (),
) -> list[ImportColumn]:
    """Return the columns. An unknown header creates a field and is appended to ``created``.

    Headers must equal labels exactly, including case and whitespace.
    """
    entity = store.entities[entity_name]
    by_label = {label_of(entity_name, field): field for field in entity.fields}
    standard = {label: name for name, label in STANDARD[entity_name].items()}
    columns = []
    for header in headers:
        field = by_label.get(header)
        if entity_name != "accounts" and header in ACCOUNT_REFERENCE[entity_name]:
            columns.append(ImportColumn(header, None))
            continue
        if field is None:
            name = standard.get(header) or _free_name(header, {*store.entities[entity_name].names})
            field = TenantField(name, "string", label=header, importable=True)
            store.add_field(entity_name, field)
            by_label[header] = field
            if header not in standard and header not in type_fields:
                created.append(header)
        if not field.importable or field.name in _GENERATED.get(entity_name, ()):
            field = None
        columns.append(ImportColumn(header, field))
    return columns


def _free_name(label: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "field"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    return name


def apply_list_action(
    store: Store, list_name: str, action: ListAction, account_ids: Iterable[str]
) -> None:
    """Change the members of the account list with the name of the import.

    ``replace`` and ``insert`` create a list that does not exist. ``replace`` also removes all
    other members.
    """
    if action == "noop":
        return
    with store.lock:
        numbers = store.select(_LIST, ["account_list_id"], "account_list_name = ?", [list_name])
        number = next((found for (found,) in numbers if found), None)
        if number is None:
            if action == "delete":
                return
            taken = [int(found or 0) for (found,) in store.select(_LIST, ["account_list_id"])]
            number = str(max(taken, default=0) + 1)
            store.write(_LIST, None, {"account_list_id": number, "account_list_name": list_name})
        on_list = {
            found
            for (found,) in store.select(_MEMBERS, ["account_id"], "account_list_id = ?", [number])
        }
        named = dict.fromkeys(account_ids)
        gone = on_list.difference(named) if action == "replace" else on_list.intersection(named)
        with store.transaction():
            for account_id in gone if action != "insert" else ():
                store.delete(
                    _MEMBERS, "account_id = ? AND account_list_id = ?", [account_id or "", number]
                )
            for account_id in named if action != "delete" else ():
                if account_id not in on_list:
                    member = {"account_list_id": number, "account_id": account_id}
                    store.write(_MEMBERS, None, member)
