"""The main path of a run: records to files, files to imports, results to states.

``Loader.record`` and ``record_lines`` stage rows, ``flush`` queues the staged files, and ``poll``
accounts for the imports that have ended. A state is emitted once all rows before it are accounted
for.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from demandbase_api.config import spool_folder, state
from demandbase_api.errors import ApiError, ConfigurationError, TransientError
from demandbase_api.process import loading, signals_deferred
from demandbase_api.run_files import dry_run_folder, remove_old, remove_old_reports, run_name
from demandbase_api.run_report import Outcome
from demandbase_api.state.folder import IMPORT_REPORTS, KEPT_ROWS
from target_demandbase.batching import StreamBatch
from target_demandbase.config import (
    log_limits,
    reject_policy,
    rejects_folder,
    warn_of_lost_rows,
    warn_of_unused,
)
from target_demandbase.csv_writer import OnNull, RowEncoder, RowError
from target_demandbase.errors import MappingError, PlanError, RoutingError
from target_demandbase.import_queue import DryRunQueue, ImportBatch, Until, open_import_queue
from target_demandbase.mapping import UnknownProperties
from target_demandbase.open_files import GroupBudget, open_files, spare_files
from target_demandbase.plan import plan_stream, propose_settings, settings_of, suits_blocks
from target_demandbase.questions import Questions
from target_demandbase.reader import NOTHING, Consumed
from target_demandbase.rejects import (
    DeadLetters,
    Reject,
    RejectsError,
    Undelivered,
    check_folder,
    record_message,
)
from target_demandbase.report import OUTCOMES_UNKNOWN, RunRecorder, write_run
from target_demandbase.results import Results
from target_demandbase.states import PendingState, StateGate, write_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.ports import ImportApi
    from demandbase_api.run_report import RunFacts
    from target_demandbase.arrow.encoder import ArrowRowEncoder
    from target_demandbase.import_queue import ImportQueue
    from target_demandbase.mapping import StreamSchema
    from target_demandbase.plan import StreamPlan
    from target_demandbase.remarks import Remark
    from target_demandbase.staging import Columns


logger = logging.getLogger("target-demandbase")


@dataclass(frozen=True)
class LoadedStream:
    """A stream whose records are loaded.

    Args:
        plan: The stream's plan.
        batch: Its open batch.
        encoder: Encodes one record at a time and says what is wrong with it.
        block_encoder: Encodes many plain records at a time. ``None`` if the schema is not plain.
        unknown: Properties of records that the schema does not have.
    """

    plan: StreamPlan
    batch: StreamBatch
    encoder: RowEncoder
    block_encoder: ArrowRowEncoder | None
    unknown: UnknownProperties


class Loader:
    """Loads the streams of one run.

    Args:
        api: The import API.
        config: The settings.
        clock: Time, for polling and the report.
        retry: How requests are repeated.
    """

    def __init__(
        self,
        api: ImportApi,
        config: Mapping[str, Any],
        clock: Clock,
        retry: RetryPolicy,
    ) -> None:
        self._api = api
        self._config = config
        self._clock = clock
        self._run = run_name(clock.utc())
        place = state(config)
        self._state_folder = place.open()
        self._rejects = rejects_folder(config)
        check_folder(self._rejects)
        able = api.capabilities
        log_limits(config, able)
        warn_of_lost_rows(config)
        self._is_dry: bool = config["dry_run"]
        # The files of a dry run are for the person who has started it.
        self._copies = None if self._is_dry else place.copies(KEPT_ROWS)
        self._reports = None if self._is_dry else place.copies(IMPORT_REPORTS)
        self._report = RunRecorder(
            self._run,
            clock,
            list_action=config["list_action"] if able.list_actions else None,
            unknown=None if able.row_errors else OUTCOMES_UNKNOWN,
            is_dry=self._is_dry,
        )
        self.questions = Questions(config, self._rejects, self._run, clock)
        """What is open about the streams."""
        self._dead_letters = DeadLetters(self._rejects, self._run, self._copies)
        self._results = Results(
            api,
            self._dead_letters,
            self._report,
            reject_policy(config),
            is_dry=self._is_dry,
            clock=clock,
        )
        self._queue: ImportQueue | DryRunQueue = (
            DryRunQueue(dry_run_folder(self._rejects, self._run))
            if self._is_dry
            else open_import_queue(api, config, self._run, clock, retry)
        )
        allowed = open_files(spare_files(), config["max_concurrent_jobs"])
        self._budget = GroupBudget(allowed.groups)
        self._states = StateGate()
        self._streams: list[LoadedStream] = []
        self._entities: dict[str, str] = {}
        self._last_batch = 0
        self._open: set[int] = set()
        self._closed: deque[int] = deque()
        self._remarks: set[tuple[str, Remark]] = set()
        self._has_warned_of_deletions = False
        self._has_warned_of_files = False

    def add_stream(self, stream: StreamSchema, source: StreamSchema) -> LoadedStream:
        """Plan a stream and return it.

        Args:
            stream: The stream after stream maps.
            source: The stream as the tap sent it.

        Raises:
            RoutingError: The stream has no entity.
            MappingError: Its columns or settings do not fit the entity.
            PlanError: What Demandbase or the settings say of its entity cannot be used.
        """
        self.poll(Until.UPLOADED)  # only one thread at a time may use the API
        config = self._config
        on_null = OnNull(config["on_null"])
        try:
            planned = plan_stream(self._api, config, stream, source)
        except (MappingError, RoutingError) as error:
            self.questions.ask(error, propose_settings(self._api, config, stream))
            raise
        except (ConfigurationError, ApiError) as error:
            if error.ends_run or isinstance(error, TransientError):
                raise
            raise PlanError(str(error), stream=stream.stream) from error
        plan = planned.plan
        self.questions.settled(settings_of(config, plan))
        for line in planned.report.splitlines():
            logger.info("%s", line)
        for remark in planned.remarks:
            if (plan.stream, remark) not in self._remarks:  # a stream may change its schema
                self._remarks.add((plan.stream, remark))
                logger.log(remark.level, "%s", remark.text)
        self._queue.write_mapping(stream.stream, planned.report)
        batch = StreamBatch(
            plan,
            spool_folder(config),
            max_rows=config["batch_size_rows"],
            max_bytes=config["max_file_bytes"],
            counts_nulls=on_null is not OnNull.OMIT,
            budget=self._budget,
        )
        loaded = LoadedStream(
            plan,
            batch,
            RowEncoder(plan, on_null=on_null, max_bytes=config["max_file_bytes"]),
            _block_encoder(plan, on_null),
            UnknownProperties(stream.stream, stream.schema["properties"]),
        )
        self._streams.append(loaded)
        self._entities[plan.stream] = plan.entity
        return loaded

    def remove_stream(self, stream: LoadedStream) -> None:
        """Remove a stream whose batches are closed."""
        self._streams.remove(stream)

    def record(
        self, stream: LoadedStream, record: Mapping[str, Any], original: Mapping[str, Any]
    ) -> None:
        """Stage a record, or reject it.

        Args:
            stream: Its stream.
            record: The record after stream maps.
            original: The record as the tap sent it, for dead letters.
        """
        try:
            row = stream.encoder.encode(record)
        except RowError as error:
            self.reject(stream, original, error)
            return
        for other in self._others(stream):
            if row.key and other.batch.has_key(row.key):
                # Two streams of one entity: the row that was read first must be imported first.
                self.close_batch(other)
        self._count(stream, 1)
        self._make_room(stream, row.columns)
        if not stream.batch.fits(row.columns, len(row.line), (row.key,)):
            self.flush(stream)
        stream.batch.stage_row(row, record_message(stream.plan.source.stream, original))
        self._report.add_staged(stream.plan.stream, 1)
        stream.unknown.warn(record)

    def record_lines(self, stream: LoadedStream, lines: bytes) -> Consumed:
        """Stage leading RECORD messages while they are plain.

        What is not consumed must be passed to ``record``, one by one.
        """
        if stream.block_encoder is None:
            return NOTHING
        stream.block_encoder.ignore(stream.unknown.seen)
        block = stream.block_encoder.encode(lines, stream.batch.rows_left)
        if block is None:
            return NOTHING
        # The first rows of a set of columns need a file; the next block has place for another.
        new = [rows.first for rows in block.groups if stream.batch.needs_file(rows.columns)]
        if len(new) > 1:
            block = stream.block_encoder.encode(lines, sorted(new)[1])
        if block is None or not stream.batch.fit_together(block.groups):
            return NOTHING
        self._count(stream, block.rows)
        for rows in block.groups:
            stream.batch.stage_rows(rows)
        self._report.add_staged(stream.plan.stream, block.rows)
        return Consumed(block.rows, block.size)

    def accepts_lines(self, stream: LoadedStream) -> bool:
        """Return whether ``record_lines`` may be called: no other stream has the same keys."""
        return stream.block_encoder is not None and not any(self._others(stream))

    def reject(self, stream: LoadedStream, original: Mapping[str, Any], error: RowError) -> None:
        """Write a record that cannot be sent to the dead letters."""
        number = self._count(stream, 1)
        reject = Reject(error.reason, error.field, error.type)
        self._results.reject(stream.plan, number, original, reject)

    def flush(self, stream: LoadedStream) -> None:
        """Queue the staged rows of a stream, one file for each set of columns."""
        batch = stream.batch
        keys = batch.keys if self._config["max_concurrent_jobs"] > 1 else frozenset[int]()
        self._report.add_deduplicated(stream.plan.stream, batch.seal_files())
        while batch.sealed:
            with signals_deferred():
                file = batch.sealed.pop(0)
                self._queue.put(ImportBatch(stream.plan, file, batch.number, keys))
            self.poll(Until.UPLOADING)

    def close_batch(self, stream: LoadedStream) -> None:
        """Queue what is left of a stream's open batch, and close it."""
        if not stream.batch.is_open:
            return
        self.flush(stream)
        goes_on = stream.batch.goes_on
        number = stream.batch.close()
        if stream.plan.is_add_only and goes_on:
            # A run that began at a state within its files would cut the rows into other files, of
            # which nothing says that their rows are in.
            self._states.hold(number)
        self._open.discard(number)
        self._closed.append(number)
        self._finish_batches()

    def is_old(self, stream: LoadedStream) -> bool:
        """Return whether rows have been staged for a long time and no import runs.

        Rows accumulate while an import runs: a slow import must not make the next batches tiny.
        """
        return stream.batch.is_old and not self._queue.is_busy

    def state(self, value: dict[str, Any]) -> None:
        """Emit a state once all rows before it are accounted for.

        Batches of rows that are added end at a state, all of them once one is about half full: only
        a state at which none of them goes on is one to continue from.
        """
        adding = [each for each in self._streams if each.plan.is_add_only]
        for stream in adding:
            if stream.batch.goes_on:
                self._states.hold(stream.batch.number)
        for stream in self._streams:
            stream.batch.mark()
        if any(self._is_worth_ending(stream) for stream in adding):
            for stream in adding:
                self.close_batch(stream)
        sealed = min(self._open, default=self._last_batch + 1) - 1
        self._states.defer(PendingState(value, sealed), [*self._open, *self._closed])
        self._emit_released()

    def _is_worth_ending(self, stream: LoadedStream) -> bool:
        """Return whether a batch ends at a state: soon it would end between two, since it is old.

        A source may be slow, and the states of a batch that ended between them are held.
        """
        is_aging = stream.batch.is_aging and not self._queue.is_busy
        return is_aging or stream.batch.is_worth_ending

    def poll(self, until: Until = Until.NOW) -> None:
        """Account for the imports that have ended, oldest first; emit the states they release.

        Raises:
            StillRunningError: An import did not end in time.
            RejectedRowsError: Too many rows were rejected.
            DemandbaseError: An import or an upload failed.
        """
        for done in self._queue.ended(until):
            outcome = None
            try:
                accounted = self._results.account(done)
                if self._copies is not None:
                    # The journal will say that each rejected row is kept, even without this disk.
                    self._dead_letters.flush()
                outcome = accounted
            finally:
                self._queue.remove(done, outcome)
            self._finish_batches()

    def finish(self) -> None:
        """Wait for all imports and check the run as a whole.

        Raises:
            RejectedRowsError: Too many rows were rejected.
        """
        self._results.end_input()
        self.poll(Until.ENDED)
        self._states.end()
        self._emit_released()
        self._queue.forget(self._last_batch)
        self._queue.finish()
        warn_of_unused(self._config, self._entities)
        self._results.check_run()
        if self._is_dry:
            self.questions.write_mapping()

    def deliver_states(self) -> None:
        """Deliver what precedes the last state, after the input has failed.

        Rows that came after it are dropped: no state covers them, so the next run gets them again.

        Raises:
            DemandbaseError: As ``poll``.
        """
        if not self._states.is_waiting:
            return
        logger.warning("The input has failed. What precedes its last state is delivered first.")
        for stream in self._streams:
            stream.batch.rewind()
        for stream in self._streams:
            self.close_batch(stream)
        self.poll(Until.ENDED)

    def sample(self) -> None:
        """Record how many records have been read until now."""
        self._report.sample()

    def close(self, facts: RunFacts) -> None:
        """Cancel what can be cancelled, remove all files, and write the report.

        If a signal ends the run, undelivered rows are kept.

        Args:
            facts: What is known of the run at its end.
        """
        undelivered = None
        if facts.outcome is Outcome.INTERRUPTED:
            undelivered = Undelivered(self._state_folder, self._run, self._copies)
        with ExitStack() as last:
            last.callback(self._write_report, facts)
            for stream in reversed(self._streams):
                last.callback(stream.batch.discard, undelivered)
            # Queued rows came before staged ones, and are kept before them.
            self._queue.close(undelivered)

    def skip_deletion(self, stream: str) -> None:
        """Count a record that is marked as deleted."""
        self._report.add_deletions_skipped(stream)
        self.warn_of_deletions()

    def warn_of_deletions(self) -> None:
        """Warn once that deletions have no effect."""
        if not self._has_warned_of_deletions:
            self._has_warned_of_deletions = True
            logger.warning(
                "Demandbase's import API cannot delete: records that are marked as deleted are "
                "counted in the report and not sent, and ACTIVATE_VERSION does nothing."
            )

    def _make_room(self, stream: LoadedStream, columns: Columns) -> None:
        """Queue the staged rows that are in the most files, if there are as many as possible."""
        if self._budget.has_room or not stream.batch.needs_file(columns):
            return
        if not self._has_warned_of_files:
            self._has_warned_of_files = True
            logger.warning(
                "Records have so many different sets of columns that their files are as many as "
                "the system lets the target open: their rows are sent earlier, in more import "
                "jobs. Raise that limit (ulimit -n), or let the tap send all properties."
            )
        self.flush(max(self._streams, key=lambda each: each.batch.files))

    def _count(self, stream: LoadedStream, records: int) -> int:
        """Count records of the open batch and return its number; open one if none is open."""
        if not stream.batch.is_open:
            self._last_batch += 1
            self._open.add(self._last_batch)
            stream.batch.open(self._last_batch)
        self._results.count_read(stream.plan.stream, stream.batch.number, records)
        return stream.batch.number

    def _others(self, stream: LoadedStream) -> Iterator[LoadedStream]:
        """Yield the other streams of the same entity."""
        for other in self._streams:
            if other is not stream and other.plan.entity == stream.plan.entity:
                yield other

    def _finish_batches(self) -> None:
        """Check closed batches whose imports have all ended, in order; emit released states."""
        while self._closed and self._closed[0] not in self._queue.batches:
            number = self._closed.popleft()
            self._results.check_batch(number)
            self._states.finish(number)
            self._emit_released()

    def _emit_released(self) -> None:
        released = self._states.release()
        if released is not None and not self._is_dry:  # a dry run delivers nothing
            write_state(released.value, self._clock, has_rows=self._last_batch > 0)
            self._queue.forget(released.last_batch)

    def _write_report(self, facts: RunFacts) -> None:
        report = self._report.report(facts, self._queue.jobs())
        sys.stderr.write(f"{report.in_brief().as_json()}\n")
        # First: on a full disk, this makes room.
        keep_days, now = self._config["keep_days"], self._clock.utc()
        remove_old(self._rejects, keep_days, now, logger)
        if self._reports is not None:
            remove_old_reports(self._reports, keep_days, now, logger)
        for write in (
            self._dead_letters.flush,
            partial(write_run, self._rejects, report, self._reports),
        ):
            try:
                write()
            except RejectsError as error:
                # The run ends with an error of its own, which is the one to report.
                logger.warning("%s", error)


def _block_encoder(plan: StreamPlan, on_null: OnNull) -> ArrowRowEncoder | None:
    if not suits_blocks(plan):
        logger.debug("Records of stream %s are encoded one by one", plan.stream)
        return None
    with loading("target_demandbase.arrow.encoder"):  # pyarrow takes time to load
        from target_demandbase.arrow.encoder import ArrowRowEncoder  # noqa: PLC0415

    return ArrowRowEncoder(plan, on_null=on_null)
