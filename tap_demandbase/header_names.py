"""From the columns of a file to the properties that they are for; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.models import EntityField


def as_properties(header: Sequence[str], fields: Mapping[str, EntityField]) -> list[str]:
    """Return a header with the name of the property for each column that is known.

    A column bears the name that jobs use or, where no column bears that, a label that only one
    of the fields has.

    Args:
        header: The columns.
        fields: The field of each property that was asked for.
    """
    by_name = {field.job_name: name for name, field in fields.items()}
    found = {by_name[column] for column in header if column in by_name}
    labels = [field.label for field in fields.values()]
    by_label = {
        field.label: name
        for name, field in fields.items()
        if field.label and name not in found and labels.count(field.label) == 1
    }
    return [by_name.get(column) or by_label.get(column) or column for column in header]
