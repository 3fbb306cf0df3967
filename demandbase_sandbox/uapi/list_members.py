"""Account lists and person lists: which there are, and who is on them.

``member`` is ``account`` or ``person`` throughout.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from demandbase_sandbox.store import quoted
from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.export_query import ExportQuery
from demandbase_sandbox.uapi.published_fields import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from demandbase_sandbox.store import Store

Member = Literal["account", "person"]
_TABLES = {"account": "accounts", "person": "people"}
_SHOWN = {"account": ("name", "domain"), "person": ("email",)}
_MISSING = {"account": "400-142", "person": "400-143"}


def check_lists(store: Store, member: Member, ids: Iterable[int]) -> None:
    """Refuse ids of lists that do not exist.

    Raises:
        RefusalError: 400-142 or 400-143.
    """
    known = {
        int(number or 0) for (number,) in store.select(f"{member}_lists", [f"{member}_list_id"])
    }
    if unknown := sorted(set(ids) - known):
        raise coded(_MISSING[member], ", ".join(map(str, unknown)))


def on_lists(member: Member, column: str) -> str:
    """Return the SQL of being on one of the lists whose ids are bound as a JSON list."""
    return (
        f'{column} IN (SELECT m."{member}_id" FROM "{member}_list_members" m'  # noqa: S608 - own names
        f' WHERE CAST(m."{member}_list_id" AS INTEGER) IN (SELECT value FROM json_each(?)))'
    )


def members_query(store: Store, member: Member, ids: Sequence[int]) -> ExportQuery:
    """Return the rows of a job for lists' members; of all lists where no ids are given.

    Which columns such a file has is not published: here they are ids and names of list and
    member, in the bare spelling of other fields without an entity.

    Raises:
        RefusalError: 400-142 or 400-143.
    """
    check_lists(store, member, ids)
    table = _TABLES[member]
    entity = store.entities[table]
    key = quoted(f"{member}_id")
    of_list, of_member = (
        f'"{member}_lists" l WHERE l."{member}_list_id" = t."{member}_list_id"',
        (f"{quoted(table)} o WHERE o.{key} = t.{key}"),
    )
    columns = {
        f"{member}ListId": f't."{member}_list_id"',
        f"{member}ListName": f'(SELECT l."{member}_list_name" FROM {of_list})',  # noqa: S608
        f"{member}Id": f"(SELECT {identity(entity, 'o')} FROM {of_member} LIMIT 1)",  # noqa: S608
    }
    for name in _SHOWN[member]:
        if entity.field(name) is not None:
            shown = f"(SELECT o.{quoted(name)} FROM {of_member} LIMIT 1)"  # noqa: S608
            columns[f"{member}{name.capitalize()}"] = shown
    where = f't."{member}_list_id" IN (SELECT CAST(value AS TEXT) FROM json_each(?))'  # noqa: S608
    return ExportQuery(
        entity=f"{member}_list_members",
        columns=tuple(columns),
        labels=tuple(columns),
        expressions=tuple(columns.values()),
        where=where if ids else "1",
        values=(json.dumps([*ids]),) if ids else (),
    )
