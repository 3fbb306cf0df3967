"""Reads the ids of an entity from an export that holds nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.models import EntityField
from tap_demandbase.export_reader import ExportReader

if TYPE_CHECKING:
    import logging

    from demandbase_api.jobs.export_scheduler import ExportOrder
    from demandbase_api.models import ExportJob, IdPages
    from tap_demandbase.export_run import ExportRun

_ID = "id"
_SCHEMA = {_ID: {"type": ["null", "string"]}}


def read_ids(
    run: ExportRun, pages: IdPages, order: ExportOrder, job: ExportJob, logger: logging.Logger
) -> tuple[str, ...]:
    """Return the ids that a job holds, each once, in an order that stays.

    Args:
        run: What brings the files.
        pages: Whose ids they are.
        order: The order.
        job: Its completed job.
        logger: Where to say what is going on.

    Raises:
        DemandbaseError: They cannot be had.
    """
    fields = {_ID: EntityField(_ID, "", api_name=pages.field, label=pages.label)}
    reader = ExportReader(run, pages.entity, _SCHEMA, logger, fields)
    found = {str(record[_ID]) for record in reader.records(order, job) if record[_ID] is not None}
    return tuple(sorted(found, key=lambda text: (len(text), text)))
