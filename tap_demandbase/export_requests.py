"""What a stream asks of an export job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.models import DateRange, ExportRequest

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from demandbase_api.models import Entity
    from tap_demandbase.stream_options import StreamOptions
    from tap_demandbase.windows import Window


def request_for(
    entity: Entity,
    options: StreamOptions,
    fields: Sequence[str],
    days: DateRange | None,
    ids: Sequence[str],
) -> ExportRequest:
    """Return the request for one job.

    Args:
        entity: What to export.
        options: The stream's settings.
        fields: Which fields, as jobs call them.
        days: Only records of these days.
        ids: Only what belongs to these records of another entity.
    """
    return ExportRequest(
        entity.name,
        tuple(fields),
        days,
        # Where ids are named, they have been narrowed already.
        account_lists_of(entity, options) if entity.id_pages is None else (),
        options.person_list_ids,
        tuple(ids),
        options.ad_report_type,
        options.sources,
    )


def account_lists_of(entity: Entity, options: StreamOptions) -> tuple[str, ...]:
    """Return the account lists that narrow a stream; that of all streams only where it can be."""
    can_be = entity.takes_account_lists or entity.id_pages is not None
    return options.account_lists if can_be else options.account_list_ids


def tell_unnarrowed(entity: Entity, options: StreamOptions, logger: logging.Logger) -> None:
    """Tell of a stream that the account list of all streams cannot narrow."""
    if options.account_lists and not account_lists_of(entity, options):
        logger.warning(
            "The setting account_list_id does not narrow stream %s: on this API all of it is "
            "exported",
            entity.name,
        )


def days_of(window: Window | None, options: StreamOptions, field: str) -> DateRange | None:
    """Return the days that a job is bound to; ``None`` for all.

    The first export of all has no bounds: records without a date come with it.

    Args:
        window: The days that are wanted.
        options: The stream's settings.
        field: The date field, as jobs call it.
    """
    if window is None or (window.start is None and options.end_date is None):
        return None
    return DateRange(field, window.start, window.end)
