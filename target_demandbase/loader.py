"""What the streams of one run share: the way to Demandbase, the accounts, the states."""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

from demandbase_api.config import api_url, poll_policy, spool_folder
from demandbase_api.jobs.import_journal import ImportJournal
from demandbase_api.jobs.import_uploader import ImportUploader
from demandbase_api.jobs.poller import JobPoller
from target_demandbase.config import (
    destination,
    journal_folder,
    reject_policy,
    rejects_folder,
    tell_limits,
)
from target_demandbase.import_queue import DryRunQueue, ImportQueue
from target_demandbase.rejects import DeadLetters, RejectsError, Undelivered, check_folder
from target_demandbase.report import OUTCOMES_UNKNOWN, RunReport
from target_demandbase.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from demandbase_api.models import ImportJob
    from target_demandbase.sink import DemandbaseSink
    from target_demandbase.target import TargetDemandbase


class StateGate:
    """Lets states out in their order, each only when its batches are settled.

    Args:
        emit: Writes a state out.
    """

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self._emit = emit
        self._waiting: deque[tuple[dict[str, Any], set[int]]] = deque()

    def hold(self, state: dict[str, Any], batches: Iterable[int]) -> None:
        """Hold a state until the given batches are settled; without any it goes out at once."""
        needed = set(batches)
        if self._waiting and self._waiting[-1][1] == needed:
            # Both would go out at the same moment: only the later one is worth its memory.
            self._waiting.pop()
        self._waiting.append((state, needed))
        self._let_out()

    def settled(self, batch: int) -> None:
        """Note that a batch's rows are taken or kept."""
        for _, batches in self._waiting:
            batches.discard(batch)
        self._let_out()

    def _let_out(self) -> None:
        ready: dict[str, Any] | None = None
        while self._waiting and not self._waiting[0][1]:
            ready, _ = self._waiting.popleft()
        if ready is not None:
            self._emit(ready)


logger = logging.getLogger("target-demandbase")


class Loader:
    """The imports of one run.

    Args:
        target: Whose settings, port and clock it uses.
        emit: Writes a state to standard output.
    """

    def __init__(self, target: TargetDemandbase, emit: Callable[[dict[str, Any]], None]) -> None:
        api, config, clock = target.import_api, target.config, target.clock
        self._target = target
        self._emit = emit
        self.undelivered: Undelivered | None = None
        self._run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"
        self._rejects = rejects_folder(config)
        check_folder(self._rejects)
        able = api.capabilities
        tell_limits(config, able)
        self.report = RunReport(
            self._run, clock,
            list_action=config["list_action"] if able.list_actions else None,
            unknown=None if able.row_errors else OUTCOMES_UNKNOWN,
        )  # fmt: skip
        self.dead_letters = DeadLetters(self._rejects, self._run)
        self.settlement = Results(
            api, self.dead_letters, self.report, reject_policy(config), self._settled,
            is_dry=config["dry_run"],
        )  # fmt: skip
        if config["dry_run"]:
            self.lane: ImportQueue | DryRunQueue = DryRunQueue(
                self._rejects / f"dry-run-{self._run}", self.settlement
            )
        else:
            watch = JobPoller(
                "import", api, poll_policy(config), clock, progress=_progress,
                can_cancel=able.cancel,
            )  # fmt: skip
            self._sender = ImportUploader(
                api,
                watch,
                ImportJournal(journal_folder(config), self._run, api_url(config)),
                target.retry,
                clock,
            )
            self.lane = ImportQueue(
                self._sender, watch, self.settlement, config["max_concurrent_jobs"],
                destination(config),
            )  # fmt: skip
        self._gate = StateGate(self._let_out)
        self._told_of_deletions = False
        self._sinks: dict[str, list[DemandbaseSink]] = {}
        self._batch = 0
        self._open: set[int] = set()

    def open_batch(self) -> int:
        """Return the number of a new batch."""
        self._batch += 1
        self._open.add(self._batch)
        return self._batch

    def close_batch(self, batch: int) -> None:
        """Note that all of a batch has been shipped."""
        self._open.discard(batch)
        self.lane.end_of_batch(batch)

    def hold(self, state: dict[str, Any]) -> None:
        """Let a state out once all rows before it are settled."""
        sealed = min(self._open, default=self._batch + 1) - 1
        self._gate.hold({"sealed": sealed, "state": state}, self._open | self.lane.batches)

    def tell_mapping(self, stream: str, report: str) -> None:
        """Tell which column of a stream fills which field; a dry run keeps it, too."""
        logger.info("%s", report)
        if isinstance(self.lane, DryRunQueue):
            self.lane.keep(stream, report)

    def join(self, entity: str, sink: DemandbaseSink) -> None:
        """Note that a sink sends rows to an entity."""
        self._sinks.setdefault(entity, []).append(sink)

    def leave(self, entity: str, sink: DemandbaseSink) -> None:
        """Note that a sink has sent all of its rows."""
        self._sinks[entity].remove(sink)

    def other_sinks(self, entity: str, sink: DemandbaseSink) -> list[DemandbaseSink]:
        """Return the other sinks whose rows go to an entity."""
        sinks = self._sinks[entity]
        return [] if len(sinks) == 1 else [each for each in sinks if each is not sink]

    def skip_deletion(self, stream: str) -> None:
        """Count a record that is marked as deleted."""
        self.report.add_deletions_skipped(stream)
        self.cannot_delete()

    def cannot_delete(self) -> None:
        """Tell once that deletions are not carried out."""
        if not self._told_of_deletions:
            self._told_of_deletions = True
            logger.warning(
                "Demandbase's import API cannot delete: records that are marked as deleted are "
                "counted in the report and not sent, and ACTIVATE_VERSION does nothing."
            )

    def finish(self) -> None:
        """Settle everything and tell what became of it."""
        self.settlement.all_is_read()
        self.lane.finish()
        if not isinstance(self.lane, DryRunQueue):
            self.lane.told(self._batch)
            self._sender.sweep()
            self._sender.close()
        self.settlement.check_whole()

    def interrupted(self) -> None:
        """Keep from now on what will not be sent: a signal ends the run."""
        self.undelivered = Undelivered(spool_folder(self._target.config), self._run)

    def stop(self) -> None:
        """Cancel what can be cancelled."""
        self.lane.close(self.undelivered)

    def close(self) -> None:
        """Keep what was rejected, and report."""
        sys.stderr.write(f"{self.report.as_json()}\n")
        try:
            self.dead_letters.flush()
            self.report.write(self._rejects)
        except RejectsError as error:
            # How the run ends is told by its own error.
            logger.warning("%s", error)

    def _settled(self, batch: int) -> None:
        self._gate.settled(batch)

    def _let_out(self, held: dict[str, Any]) -> None:
        if isinstance(self.lane, DryRunQueue):
            return  # nothing has been delivered
        self._emit(held["state"])
        self.lane.told(held["sealed"])


def _progress(job: ImportJob) -> str:
    if job.processed_rows is None or job.total_rows is None:
        return ""
    return f"{job.processed_rows} of {job.total_rows} rows"
