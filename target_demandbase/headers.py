"""What is wrong with names that head a file: an unknown one makes Demandbase make a new field."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def header_problems(fields: Mapping[str, str], documented: Collection[str]) -> list[str]:
    """Return a clause for each header that is surely a slip.

    Args:
        fields: The header by column.
        documented: The headers that are known.
    """
    plain = {_plain(name): name for name in documented}
    problems = []
    for column, header in fields.items():
        meant = plain.get(_plain(header))
        if not header.strip():
            problems.append(f"column {column} has no name through field_mappings")
        elif header not in documented and meant is not None:
            problems.append(
                f"column {column} (through field_mappings: {header}) is spelt another way than "
                f"the field {meant}"
            )
    return problems


def undocumented(fields: Mapping[str, str], documented: Collection[str]) -> list[str]:
    """Return the headers that are known only to who set field_mappings."""
    return [header for header in fields.values() if header not in documented]


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()
