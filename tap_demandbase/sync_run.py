"""The run of all selected streams, in place of the SDK's ``Tap.sync_all``.

That method is final and ends the run at the first error. Here the error of one stream keeps no
other stream from being delivered, and the jobs of a run end with it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from typing_extensions import override

from demandbase_api.errors import ConfigurationError, DemandbaseError
from demandbase_api.run_report import Outcome
from tap_demandbase import bookmark
from tap_demandbase.errors import StreamsFailedError
from tap_demandbase.report import StreamFigures

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from singer_sdk.helpers.types import Record
    from singer_sdk.singerlib import RecordMessage

    from demandbase_api.clock import Clock


class TapStream(Stream):
    """A stream of this tap."""

    @cached_property
    def figures(self) -> StreamFigures:
        """What the run's report says of the stream."""
        return StreamFigures()

    def plan(self) -> None:
        """Check, before anything is exported, what the stream needs for that.

        Raises:
            DemandbaseError: The stream cannot be exported.
        """
        bookmark.read(self.get_context_state(None), self.replication_key, self.name)

    def give_up(self) -> None:
        """Release what the stream uses, after it failed."""

    def complete_run(self) -> None:
        """Record in the state what the stream delivered, at the end of the run."""

    def clear_journal(self) -> None:
        """Remove the journal's entries of what the stream delivered, once its state is written."""

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        for message in super()._generate_record_messages(record):
            self.figures.rows += 1
            yield message

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        # Stream.sync() calls each error unhandled. The run logs it with its reason.
        if level < logging.ERROR:
            super().log(message, *args, level=level, **kwargs)


class SyncRun:
    """Syncs streams one after another.

    Args:
        streams: All streams of the tap.
        unavailable: Why selected streams are missing, by stream.
        clock: Time.
        logger: Logger of the tap.
    """

    def __init__(
        self,
        streams: Iterable[Stream],
        unavailable: Mapping[str, DemandbaseError],
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._families = [
            _family(stream)
            for stream in streams
            if stream.parent_stream_type is None
            and (stream.selected or stream.has_selected_descendents)
        ]
        self._unavailable = unavailable
        self._clock = clock
        self._logger = logger
        self.figures = {
            stream.name: stream.figures
            for family in self._families
            for stream in family
            if stream.selected
        }
        """What the report says of each stream."""
        self._failures: dict[str, DemandbaseError] = {}
        self._next = 0
        """Number of families that have been synced, or tried."""

    @property
    def streams(self) -> list[TapStream]:
        """The streams to sync that have not failed, without child streams."""
        return [family[0] for family in self._families if not self._has_failed(family)]

    def plan(self) -> None:
        """Plan each stream. A stream that cannot be exported fails; the others are planned.

        Raises:
            ConfigurationError: No stream is selected.
            DemandbaseError: No stream can be exported in this run.
        """
        if not self._families and not self._unavailable:
            raise ConfigurationError(
                "No stream is selected: select at least one in the catalog (Meltano: the select "
                "extra), and check the setting entities."
            )
        for name, error in self._unavailable.items():
            self._fail([name], error)
        for family in self._families:
            try:
                for stream in family:
                    stream.plan()
            except DemandbaseError as error:
                if error.ends_run:
                    raise
                self._fail(_names(family), error)

    def sync(self) -> None:
        """Sync each planned stream, and record in the state what was delivered.

        Raises:
            DemandbaseError: An error ended the run.
        """
        for number, family in enumerate(self._families, 1):
            self._next = number
            if not self._has_failed(family):
                self._sync(family)
        for family in self._families:
            if not self._has_failed(family):
                for stream in family:
                    stream.complete_run()

    def clear_journal(self) -> None:
        """Remove the journal's entries of what was delivered, once the last state is written."""
        for family in self._families:
            if not self._has_failed(family):
                for stream in family:
                    stream.clear_journal()

    @contextmanager
    def reporting_failures(self) -> Iterator[None]:
        """Raise an error at the end of the block if streams have failed.

        Raises:
            StreamsFailedError: Some streams failed; all others have been delivered, unless an error
                ended the run.
        """
        try:
            yield
        except DemandbaseError as error:
            if not self._failures:
                raise
            raise StreamsFailedError(self._failures, self._total, ended_by=error) from error
        if self._failures:
            raise StreamsFailedError(self._failures, self._total)

    def _sync(self, family: Sequence[TapStream]) -> None:
        stream = family[0]
        try:
            with self._measuring(family):
                stream.sync()
                stream.finalize_state_progress_markers()
        except DemandbaseError as error:
            if error.ends_run:
                raise
            self._fail(_names(family), error)
            stream.give_up()

    @contextmanager
    def _measuring(self, family: Sequence[TapStream]) -> Iterator[None]:
        """Record the outcome and the duration of a family's turn."""
        began, began_at = self._clock.now(), self._clock.utc()
        outcome, failure = Outcome.INTERRUPTED, None
        try:
            yield
            outcome = Outcome.COMPLETE
        except DemandbaseError as error:
            outcome, failure = Outcome.FAILED, str(error)
            raise
        finally:
            for stream in family:
                figures = stream.figures
                figures.outcome, figures.error = outcome, failure
                figures.began_at, figures.seconds = began_at, self._clock.now() - began

    def _fail(self, streams: Sequence[str], error: DemandbaseError) -> None:
        for stream in streams:
            self._failures[stream] = _without_frames(error)
            figures = self.figures.setdefault(stream, StreamFigures())
            figures.outcome, figures.error = Outcome.FAILED, str(error)
        if not all(self._has_failed(family) for family in self._families[self._next :]):
            self._logger.error(
                "Stream %s failed, and the run continues with the other streams: %s",
                " and ".join(streams),
                error,
            )

    def _has_failed(self, family: Sequence[TapStream]) -> bool:
        return any(name in self._failures for name in _names(family))

    @property
    def _total(self) -> int:
        return len(self._unavailable) + sum(len(_names(family)) for family in self._families)


def _family(stream: Stream) -> list[TapStream]:
    """Return a stream and its selected child streams, which are synced with it."""
    children = [each for each in stream.descendent_streams if each.selected]
    return [each for each in (stream, *children) if isinstance(each, TapStream)]


def _names(family: Sequence[TapStream]) -> list[str]:
    return [stream.name for stream in family if stream.selected]


def _without_frames(error: DemandbaseError) -> DemandbaseError:
    """Return an error without the frames of its traceback, which keep blocks of rows in memory."""
    found: BaseException | None = error
    while found is not None:
        found.__traceback__ = None
        found = found.__cause__ or found.__context__
    return error
