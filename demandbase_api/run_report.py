"""The report of a run, as both plugins write it and the command ``demandbase`` reads it.

It has names, counts and times, and no record values. Moments are in seconds since the beginning of
the run, which is the only date. A member that does not apply is left out, so that reports of
earlier versions can be read, too.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from demandbase_api.clock import iso_time
from demandbase_api.config import chosen_api
from demandbase_api.masked_settings import masked_settings
from demandbase_api.process import Terminated, sentence_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from dataclasses import Field

    from demandbase_api.clock import Clock
    from demandbase_api.jobs.job_timeline import PhaseSpan

MAX_SAMPLES = 240
"""Maximum number of samples of the rows over time."""
_FIRST_INTERVAL = 0.1
"""Seconds between two samples of a short run."""


class Outcome(StrEnum):
    """How far a run or a stream has come."""

    NOT_BEGUN = "not begun"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPhase:
    """A phase of a job.

    Args:
        phase: waiting, running, uploading, downloading or reading.
        begin: Its begin, in seconds.
        end: Its end, in seconds.
    """

    phase: str
    begin: float
    end: float


class RowSample(NamedTuple):
    """The rows that had been read at a moment.

    Args:
        seconds: The moment.
        rows: Number of rows since the beginning.
    """

    seconds: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedJob:
    """A job.

    Args:
        id: The job's id.
        status: Its last known status.
        adopted: Whether it existed before the run.
        phases: What it went through.
    """

    id: str
    status: str | None = None
    adopted: bool | None = None
    phases: tuple[ReportedPhase, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedExport(ReportedJob):
    """An export job.

    Args:
        created_at: When it was created, by the server's clock.
        completed_at: When it completed, by the server's clock.
        days: First and last day that were requested; ``None`` for all rows.
        waited_seconds: Time that the stream waited for it.
        read_seconds: Time from its completion until its rows had been read.
        bytes: Size of its files as downloaded.
        rows_read: Number of its rows.
    """

    created_at: str | None
    completed_at: str | None
    days: tuple[str | None, str | None] | None
    waited_seconds: float
    read_seconds: float
    bytes: int
    rows_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedImport(ReportedJob):
    """An import job.

    Args:
        seconds: Time from its creation to its end, by the server's clock; ``None`` if it is not
            known to have ended.
        rows: Number of rows in its file.
    """

    seconds: float | None
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRows:
    """Rejected rows of one kind.

    Args:
        field: The field that was wrong, if one is known.
        type: Kind of error.
        rows: Number of rows.
    """

    field: str | None
    type: str | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedExports:
    """A stream of the tap.

    Args:
        outcome: How far it has come.
        error: Why it failed.
        started_at: When its turn began.
        seconds: Duration of its turn.
        rows_sent: Number of records that were sent, after stream maps.
        windows: Number of windows that were delivered.
        bytes: Size of the files of all jobs.
        jobs: Its jobs.
    """

    outcome: str
    error: str | None = None
    started_at: str | None
    seconds: float
    rows_sent: int
    windows: int
    bytes: int
    jobs: tuple[ReportedExport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedImports:
    """A stream of the target.

    Args:
        records_read: Records that were read.
        rows_staged: Rows that were written to files.
        rows_deduplicated: Rows that a later row of the same key superseded.
        rows_sent: Rows that were uploaded.
        rows_succeeded: Rows that Demandbase imported; ``None`` if it does not say.
        rows_accepted: Rows that it accepted without reporting the outcome of each.
        rows_rejected: Rows that were rejected.
        rejected_by: The same by kind.
        deletions_skipped: Deletions, which the API does not support.
        jobs: Its jobs.
    """

    records_read: int
    rows_staged: int
    rows_deduplicated: int
    rows_sent: int
    rows_succeeded: int | None
    rows_accepted: int | None = None
    rows_rejected: int
    rejected_by: tuple[RejectedRows, ...]
    deletions_skipped: int
    jobs: tuple[ReportedImport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRun:
    """What the reports of both plugins have.

    Args:
        run: Name of the run.
        plugin: Name of the plugin.
        version: Its version.
        api: The API: ``v1`` or ``uapi``.
        started_at: When it began.
        seconds: Its duration.
        outcome: How it ended.
        error: The last line of its log, if it did not complete.
        settings: Its settings, secrets masked.
        rows_over_time: Rows that had been read, at some moments.
    """

    run: str
    plugin: str | None = None
    version: str | None = None
    api: str | None = None
    started_at: str
    seconds: float
    outcome: str | None = None
    error: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    rows_over_time: tuple[RowSample, ...] = ()

    def as_json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps(_document(self), separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRun(ReportedRun):
    """The report of a run of the tap.

    Args:
        calls_left: Calls that are left today, by operation, if the API limits them.
        streams: Its streams.
    """

    calls_left: dict[str, int] = field(default_factory=dict)
    streams: dict[str, ReportedExports]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRun(ReportedRun):
    """The report of a run of the target.

    Args:
        list_action: The setting list_action, if the API has account lists.
        rows_accepted_means: What is unknown of accepted rows, if the API does not report it.
        dry_run: Whether nothing was sent.
        streams: Its streams.
    """

    list_action: str | None = None
    rows_accepted_means: str | None = None
    dry_run: bool = False
    streams: dict[str, ReportedImports]

    def in_brief(self) -> ImportRun:
        """Return the report without what only a page can show."""
        streams = {
            name: replace(
                stream,
                jobs=tuple(replace(job, phases=()) for job in stream.jobs),
            )
            for name, stream in self.streams.items()
        }
        return replace(self, settings={}, rows_over_time=(), streams=streams)


def _document(value: object) -> object:
    """Return a part of a report as JSON; members that have their defaults are left out."""
    if is_dataclass(value):
        return {
            each.name: _document(member)
            for each in fields(value)
            if (member := getattr(value, each.name)) != _default(each)
        }
    match value:
        case dict():
            return {name: _document(member) for name, member in value.items()}
        case tuple() | list():
            return [_document(each) for each in value]
        case _:
            return value


def _default(member: Field[Any]) -> object:
    return member.default_factory() if member.default_factory is not MISSING else member.default


def phases(spans: Iterable[PhaseSpan], began: float) -> tuple[ReportedPhase, ...]:
    """Return the phases of a job for a report.

    Args:
        spans: The phases by the run's clock.
        began: When the run began.
    """
    return tuple(
        ReportedPhase(
            phase=span.phase.value,
            begin=round(span.begin - began, 3),
            end=round(span.end - began, 3),
        )
        for span in spans
    )


class Plugin(Protocol):
    """The members of a plugin that its report is about."""

    name: str
    config_jsonschema: ClassVar[dict[str, Any]]

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings."""

    @property
    def plugin_version(self) -> str:
        """The version."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a report says of the run as a whole, known at its end.

    Args:
        plugin: Name of the plugin.
        version: Its version.
        api: The API.
        settings: Its settings, secrets masked.
        outcome: How the run ended.
        error: The last line of its log, if it did not complete.
    """

    plugin: str
    version: str
    api: str
    settings: Mapping[str, Any]
    outcome: Outcome
    error: str | None

    @classmethod
    def of(
        cls, plugin: Plugin, error: BaseException | None, sentence: str | None = None
    ) -> RunFacts:
        """Return the facts of a run.

        Args:
            plugin: The plugin.
            error: What ended the run, if it did not complete.
            sentence: Describes the error. Default: what the command logs as its last line.
        """
        match error:
            case None:
                outcome = Outcome.COMPLETE
            case Exception():
                outcome = Outcome.FAILED
                sentence = sentence or sentence_of(error)
            case _:
                outcome = Outcome.INTERRUPTED
                sentence = error.sentence if isinstance(error, Terminated) else "It was stopped."
        return cls(
            plugin.name,
            plugin.plugin_version,
            chosen_api(plugin.config).value,
            masked_settings(plugin.config, plugin.config_jsonschema),
            outcome,
            sentence,
        )


class RunClock:
    """The times of a run, and what its report has of them.

    Args:
        run: Unique name of the run.
        clock: Time.
    """

    def __init__(self, run: str, clock: Clock) -> None:
        self.run = run
        self._clock = clock
        self.began = clock.now()
        self._started_at = clock.utc()

    def header(self, facts: RunFacts | None, rows: RowSamples | None) -> dict[str, Any]:
        """Return the members of a report that are the same for both plugins.

        Args:
            facts: What is known at the end of the run.
            rows: Rows that have been read.
        """
        known: dict[str, Any] = {
            "run": self.run,
            "started_at": iso_time(self._started_at),
            "seconds": round(self._clock.now() - self.began, 3),
            "rows_over_time": () if rows is None else rows.since(self.began),
        }
        if facts is None:
            return known
        return {
            **known,
            "plugin": facts.plugin,
            "version": facts.version,
            "api": facts.api,
            "outcome": facts.outcome.value,
            "error": facts.error,
            "settings": facts.settings,
        }


class RowSamples:
    """Samples of a growing number of rows: few, and spread over the whole run.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: list[RowSample] = []
        self._last: RowSample | None = None
        self._interval = _FIRST_INTERVAL

    def add(self, rows: int) -> None:
        """Record the number of rows until now. To be called for many rows at a time."""
        now = self._clock.now()
        before, self._last = self._last, RowSample(now, rows)
        if before is None:
            self._samples.append(self._last)
            return
        if now - self._samples[-1].seconds < self._interval:
            return
        if before is not self._samples[-1] and now - before.seconds >= self._interval:
            self._samples.append(before)  # no rows came after it for a while
        self._samples.append(self._last)
        if len(self._samples) >= MAX_SAMPLES:
            self._samples = self._samples[::2]
            self._interval *= 2

    def since(self, began: float) -> tuple[RowSample, ...]:
        """Return the samples with the last one, in seconds since a moment; none without rows."""
        if self._last is None or not self._last.rows:
            return ()
        found = [*self._samples]
        if found[-1] is not self._last:
            found.append(self._last)
        return (
            RowSample(0.0, 0),
            *(RowSample(round(each.seconds - began, 3), each.rows) for each in found),
        )
