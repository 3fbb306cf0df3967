"""Which properties of a stream are exported; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_demandbase.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def selected(
    stream: str,
    properties: Mapping[str, dict[str, Any]],
    *,
    known: Collection[str],
    wants: Callable[[str], bool],
) -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each property to export, in the schema's order.

    Args:
        stream: The stream, for messages.
        properties: JSON Schema by property, as the catalog has it.
        known: The properties that there are.
        wants: Whether a property is selected or needed.

    Raises:
        SelectionError: Nothing is selected, or something that is no field (any more).
    """
    found = {name: schema for name, schema in properties.items() if wants(name)}
    gone = [name for name in found if name not in known]
    if gone:
        raise SelectionError(
            f"Stream {stream}: the catalog selects fields that Demandbase does not export "
            f"(any more): {', '.join(gone)}. Run discovery again or deselect them.",
            stream=stream,
        )
    if not found:
        raise SelectionError(
            f"Stream {stream}: no field is selected. Select one, or deselect the stream.",
            stream=stream,
        )
    return found
