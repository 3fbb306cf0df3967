"""A stream whose jobs must name the records of another entity that they are about."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from typing_extensions import override

from demandbase_api.errors import ConfigurationError
from tap_demandbase.bulk_stream import BulkStream
from tap_demandbase.export_requests import account_lists_of

if TYPE_CHECKING:
    from demandbase_api.jobs.export_scheduler import ExportOrder
    from tap_demandbase.windows import Window


class PagedStream(BulkStream):
    """One job for some thousands of ids, which an export of the other entity tells."""

    is_planned = False

    @property
    def source_of_ids(self) -> object:
        """What tells streams apart whose ids are not of the same export."""
        return self._entity.id_pages, account_lists_of(self._entity, self._options)

    @cached_property
    @override
    def orders(self) -> tuple[tuple[Window | None, ExportOrder], ...]:
        if self.is_incremental:
            raise ConfigurationError(
                f"Stream {self.name} cannot be incremental on this API: take its replication key "
                "away."
            )
        pages = self._entity.id_pages
        assert pages is not None  # noqa: S101 - else it would be another kind of stream
        run = self._tap_demandbase.exports
        ids = run.ids(
            self.name, pages, account_lists_of(self._entity, self._options), self.last_taken
        )
        starts = range(0, len(ids), pages.size)
        run.need(self.name, len(starts))
        return tuple((None, self._order(None, ids[start : start + pages.size])) for start in starts)

    @property
    @override
    def why_empty(self) -> str:
        pages = self._entity.id_pages
        return f"there are no {pages.entity if pages else 'records'} that it could be about"
