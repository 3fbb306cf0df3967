"""What a tenant's lists and fields say about each guess of docs/assumptions.md.

Each function reads what was collected, and sends nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as member
from datetime import UTC, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from demandbase_api.config import Api
from demandbase_api.errors import ApiOperation
from demandbase_api.jobs.import_list import sent_rows
from demandbase_api.models import DEFAULT_SOURCE, NO_ZONE, ExportJob, JobStatus
from demandbase_api.redaction import MASK, mask_name, mask_values, redact
from demandbase_api.words import counted, duration
from demandbase_cli.deep.evidence import (
    Evidence,
    Finding,
    as_assumed,
    counts,
    differs,
    judged,
    kind_of,
    label,
    listed,
    names,
    not_seen,
    seen,
    time_forms,
)
from demandbase_cli.jobs import Kind
from tap_demandbase.discovery import SCHEMA_BY_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from demandbase_api.models import EntityField, ImportJob, SourceField
    from tap_demandbase.streams import BulkStream

_LISTS = {Api.V1: "jobs", Api.UAPI: "data"}
_EXPORT_IDS = {Api.V1: "id", Api.UAPI: "jobId"}
_TOTALS = {Api.V1: "total", Api.UAPI: "totalCount"}

_MEMBERS = {
    (Api.V1, ApiOperation.LIST_EXPORTS): (
        "id", "entity_type", "status", "fields", "filters", "record_count", "file_size_bytes",
        "file_parts", "download_url", "created_at", "completed_at", "expires_at", "error_message",
    ),
    (Api.V1, ApiOperation.LIST_IMPORTS): (
        "id", "entity_type", "operation", "status", "total_rows", "processed_rows",
        "success_count", "error_count", "file_name", "file_size_bytes", "created_at", "started_at",
        "completed_at", "error_message",
    ),
    (Api.UAPI, ApiOperation.LIST_EXPORTS): (
        "jobId", "jobName", "jobStatus", "entityType", "createdAt", "updatedAt",
    ),
    (Api.UAPI, ApiOperation.LIST_IMPORTS): (
        "id", "dataImportName", "entityType", "state", "createdAt", "updatedAt", "source",
        "activityTypeId",
    ),
    (Api.UAPI, ApiOperation.GET_EXPORT): (
        "jobId", "jobName", "jobStatus", "entityType", "createdAt", "updatedAt", "resultsUrl",
        "message",
    ),
}  # fmt: skip
"""Members of a job in the published documents."""

_CHANGE = re.compile(r"modif|updat|chang|last.?(edit|touch|sync)", re.IGNORECASE)
_DATES = frozenset({"date", "datetime", "timestamp"})
_SKEW_SECONDS = 60
_SECOND = 1.5
_DAY = timedelta(days=1)
_EXPIRY = re.compile(r"(?i)[?&](x-amz-expires|x-goog-expires)=([0-9]{1,9})(?:&|$)")
_EXPIRES_AT = re.compile(r"[?&](?:Expires|expires)=([0-9]{9,11})(?:&|$)")


@dataclass
class OldLink:
    """What is left of the oldest finished export that the list shows.

    Args:
        age: How long ago it ended.
        outcome: What its link gives.
    """

    age: timedelta
    outcome: str


@dataclass
class RowErrors:
    """The row errors of a v1 import.

    Args:
        errors: Their number; ``None`` if there is no list of them.
        rejected: Rows that the job counts as rejected.
        lowest: The lowest number of a row.
        members: How many errors have each member.
    """

    errors: int | None
    rejected: int
    lowest: int | None = None
    members: Counter[str] = member(default_factory=Counter)


@dataclass
class Facts:
    """What a tenant shows without a new job.

    Args:
        api: The API.
        evidence: All responses.
    """

    api: Api
    evidence: Evidence
    streams: list[BulkStream] = member(default_factory=list)
    jobs: dict[Kind, list[ExportJob] | list[ImportJob]] = member(default_factory=dict)
    """The newest jobs of each list that was read."""
    concurrent_jobs: int = 1
    old_link: OldLink | None = None
    begun: int = 0
    """Number of responses before the lists were read."""
    references: dict[str, tuple[dict[str, Any], ...]] = member(default_factory=dict)
    """Values by reference object."""
    clean_import: RowErrors | None = None
    """A completed import that rejected no row."""
    rejecting_import: RowErrors | None = None
    sources: dict[str, tuple[str, ...]] = member(default_factory=dict)
    """Sources of imports by entity."""
    source_fields: dict[str, tuple[SourceField, ...]] = member(default_factory=dict)
    """Field mappings of the custom source that the setting ``source`` names, by entity."""
    documented: dict[str, list[str]] = member(default_factory=dict)
    """Documented labels of imports by entity."""
    exported: dict[str, list[EntityField]] = member(default_factory=dict)
    """Fields that the tenant exports, by entity of imports."""

    @property
    def fields(self) -> list[tuple[str, EntityField]]:
        """All fields with the names of their entities."""
        return [(stream.name, field) for stream in self.streams for field in stream.entity.fields]

    @property
    def all_jobs(self) -> list[ExportJob | ImportJob]:
        """The jobs of both lists."""
        return [job for jobs in self.jobs.values() for job in jobs]

    def begin_lists(self) -> None:
        """Begin to read a list: what came before are polls."""
        self.begun = len(self.evidence.received)

    def documents(self, *operations: ApiOperation) -> list[object]:
        """Return the pages of lists of jobs, as they came, without polls."""
        received = self.evidence.received[self.begun :]
        return [each.document for each in received if each.operation in operations]

    def pages(self, operation: ApiOperation) -> list[list[object]]:
        """Return the jobs on each page of a list, as they came."""
        return [listed(page, _LISTS[self.api]) for page in self.documents(operation)]

    def items(self, operation: ApiOperation) -> list[object]:
        """Return the jobs of a list, as they came."""
        return [item for page in self.pages(operation) for item in page]


@dataclass(frozen=True, slots=True)
class Guess:
    """A guess that a tenant answers.

    Args:
        name: Its name in docs/assumptions.md.
        kind: The side whose calls answer it.
        find: Returns the finding.
        apis: The APIs for which it is a guess.
    """

    name: str
    kind: Kind
    find: Callable[[Facts], Finding]
    apis: frozenset[Api] = frozenset(Api)


_LIST_OF = {Kind.EXPORT: ApiOperation.LIST_EXPORTS, Kind.IMPORT: ApiOperation.LIST_IMPORTS}


def _members(kind: Kind) -> Callable[[Facts], Finding]:
    def find(facts: Facts) -> Finding:
        operation = _LIST_OF[kind]
        jobs = [item for item in facts.items(operation) if isinstance(item, dict)]
        if not jobs:
            return not_seen(f"the list has no {kind} jobs")
        known = _MEMBERS[facts.api, operation]
        number = Counter(name for job in jobs for name, value in job.items() if value is not None)
        always = [name for name in known if number[name] == len(jobs)]
        sometimes = [name for name in known if 0 < number[name] < len(jobs)]
        never = [name for name in known if not number[name]]
        others = {name: job[name] for job in jobs for name in job if name not in known}
        extra = ", ".join(
            f"{mask_name(name)} ({kind_of(value)})" for name, value in sorted(others.items())
        )
        return judged(
            f"{counted(len(jobs), f'{kind} job')}; all have {', '.join(always) or 'no member'}; "
            f"some have {', '.join(sometimes) or 'no other'}; "
            f"none has {', '.join(never) or 'fewer'}; not documented: {extra or 'none'}",
            is_right=not others,
        )

    return find


def _statuses(kind: Kind) -> Callable[[Facts], Finding]:
    def find(facts: Facts) -> Finding:
        jobs = facts.jobs.get(kind) or []
        if not jobs:
            return not_seen(f"the list has no {kind} jobs")
        found = Counter(label(job.status_word or job.status.value) for job in jobs)
        unknown = [job for job in jobs if job.status is JobStatus.UNKNOWN]
        return judged(counts(found), is_right=not unknown)

    return find


def _clock(facts: Facts) -> Finding:
    offsets, missing = facts.evidence.offsets, facts.evidence.without_date
    if not offsets:
        return differs(f"no Date in {counted(missing, 'response')}")
    middle = sorted(offsets)[len(offsets) // 2]
    # The header has whole seconds: a clock that is right is up to a second ahead of it.
    is_near = abs(middle) <= _SECOND
    says = (
        "the server's Date is that of this machine's clock"
        if is_near
        else f"the server's Date is {duration(abs(middle))} "
        f"{'ahead of' if middle > 0 else 'behind'} this machine's clock"
    )
    if missing:
        says += f"; {counted(missing, 'response')} without it"
    return judged(says, is_right=not missing and abs(middle) <= _SKEW_SECONDS)


def _zones(facts: Facts) -> Finding:
    found = time_forms(item for operation in _LIST_OF.values() for item in facts.items(operation))
    if not found:
        return not_seen("no time of a job was read")
    has_zone = not found["without a zone"] and not found["of another form"]
    return judged(f"times of jobs: {counts(found)}", is_right=has_zone)


def _future(facts: Facts) -> Finding:
    """Return whether a job is newer than the server's own time."""
    offsets = facts.evidence.offsets
    times = [job.created_at for job in facts.all_jobs if job.created_at is not None]
    comparable = [time for time in times if time.tzinfo is not NO_ZONE]
    if not offsets or not comparable:
        return not_seen("no creation time that can be compared with the server's Date")
    now = facts.evidence.clock.utc() + timedelta(seconds=max(offsets) + 1)
    ahead = max(comparable) - now
    return judged(
        f"of {counted(len(comparable), 'job')}, "
        + (f"one is {_length(ahead)} newer" if ahead > timedelta() else "none is newer")
        + " than the server's time",
        is_right=ahead <= timedelta(),
    )


def _length(time: timedelta) -> str:
    return duration(max(time.total_seconds(), 0))


def _pages(facts: Facts) -> Finding:
    pages = facts.pages(ApiOperation.LIST_EXPORTS)
    if len([page for page in pages if page]) < 2:  # noqa: PLR2004 - to compare
        return not_seen("the list of export jobs has one page")
    member_name = _EXPORT_IDS[facts.api]
    ids = [str(item.get(member_name)) for page in pages for item in page if isinstance(item, dict)]
    again = len(ids) - len(set(ids))
    totals = {
        page.get(_TOTALS[facts.api])
        for page in facts.documents(ApiOperation.LIST_EXPORTS)
        if isinstance(page, dict)
    }
    return judged(
        f"{counted(len(ids), 'job')} on {len(pages)} pages of {_sizes(pages)}; "
        f"{again} came twice; the total "
        + ("stayed" if len(totals) == 1 else f"changed {len(totals) - 1} times"),
        is_right=not again,
    )


def _sizes(pages: Sequence[Sequence[object]]) -> str:
    sizes = sorted({len(page) for page in pages})
    return f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else str(sizes[0])


def _order(facts: Facts) -> Finding:
    found = []
    for kind, jobs in facts.jobs.items():
        times = [job.created_at for job in jobs if job.created_at is not None]
        if len(times) > 1 and len({time.tzinfo is NO_ZONE for time in times}) == 1:
            found.append((kind, all(a >= b for a, b in pairwise(times))))
    if not found:
        return not_seen("no list has two jobs with a time")
    says = "; ".join(
        f"{kind} jobs come {'newest first' if is_sorted else 'in another order'}"
        for kind, is_sorted in found
    )
    return judged(says, is_right=all(is_sorted for _, is_sorted in found))


def _empty_lists(facts: Facts) -> Finding:
    found: Counter[str] = Counter()
    for page in facts.documents(*_LIST_OF.values()):
        if isinstance(page, dict) and page.get(_TOTALS[facts.api]) == 0:
            name = _LISTS[facts.api]
            found[kind_of(page[name]) if name in page else "no member"] += 1
    if not found:
        return not_seen("both lists have jobs")
    return judged(f"an empty list is written as {counts(found)}", is_right=[*found] == ["list"])


def _messages(facts: Facts) -> Finding:
    found = Counter(
        mask_values(redact(job.error_message))
        for job in facts.all_jobs
        if job.error_message and job.status is JobStatus.FAILED
    )
    if not found:
        return not_seen("no failed job with a message")
    words = " | ".join(f"“{text}”" for text, _ in found.most_common(5))
    whole = not any(MASK in text for text in found)
    return as_assumed(words) if whole else seen(f"{words} ({MASK}: words that are not shown)")


def _types(facts: Facts) -> Finding:
    found = Counter(label(field.type or "none") for _, field in facts.fields)
    if not found:
        return not_seen("no field is listed")
    unknown = [
        name
        for name in found
        if "".join(letter for letter in name.lower() if letter.isalnum()) not in SCHEMA_BY_TYPE
    ]
    return judged(f"{counts(found)}; unknown: {', '.join(unknown) or 'none'}", is_right=not unknown)


def _change_dates(facts: Facts) -> Finding:
    parts = []
    for stream in facts.streams:
        dates = [field for field in stream.entity.fields if field.type.lower() in _DATES]
        likely = [field.name for field in dates if _CHANGE.search(field.name)]
        if dates:
            parts.append(f"{stream.name}: {names(likely)} of {counted(len(dates), 'date')}")
    if not parts:
        return not_seen("no field is a date")
    return seen(f"dates whose name speaks of a change: {'; '.join(parts)}")


def _keys(facts: Facts) -> Finding:
    if not facts.streams:
        return not_seen("no entity is listed")
    return seen(
        "; ".join(f"{stream.name}: {names(stream.primary_keys or ())}" for stream in facts.streams)
    )


def _labels(facts: Facts) -> Finding:
    parts, are_unique = [], True
    for stream in facts.streams:
        labels = [field.label for field in stream.entity.fields if field.label]
        again = sum(number - 1 for number in Counter(labels).values())
        are_unique &= not again
        if labels:
            parts.append(f"{stream.name}: {again} of {len(labels)}")
    if not parts:
        return not_seen("no field has a label")
    return judged(f"labels that another field has, too: {'; '.join(parts)}", is_right=are_unique)


def _activity_date(facts: Facts) -> Finding:
    stream = next((each for each in facts.streams if each.entity.max_days is not None), None)
    if stream is None:
        return not_seen("activities are not exported")
    dates = [field.name for field in stream.entity.fields if field.type.lower() in _DATES]
    chosen = stream.entity.date_field
    return judged(
        f"{names([chosen] if chosen else [])} is taken; dates: {names(dates)}",
        is_right=chosen is not None,
    )


def _open_at_a_time(facts: Facts) -> Finding:
    jobs = facts.jobs.get(Kind.EXPORT) or []
    times: list[tuple[datetime, int]] = []
    for job in jobs:
        if isinstance(job, ExportJob) and job.created_at and job.completed_at:
            times += [(job.created_at, 1), (job.completed_at, -1)]
    if not times:
        return not_seen("no export job has the times of its beginning and its end")
    if len({time.tzinfo is NO_ZONE for time, _ in times}) > 1:
        return not_seen("some times have no zone")
    most = now = 0
    for _, step in sorted(times):
        now += step
        most = max(most, now)
    says = f"at most {counted(most, 'export job')} had begun and not ended at the same time"
    return seen(says)


def _result_links(facts: Facts) -> Finding:
    forms: Counter[str] = Counter()
    lives: set[str] = set()
    for job in facts.evidence.documents(ApiOperation.GET_EXPORT):
        if not isinstance(job, dict) or str(job.get("jobStatus")).lower() != "finished":
            continue
        for name in ("resultsUrls", "resultsUrl"):
            if name in job:
                value = job[name]
                size = f" of {len(value)}" if isinstance(value, list) else ""
                forms[f"{name}: {kind_of(value)}{size}"] += 1
                lives |= {_life(link) for link in (value if isinstance(value, list) else [value])}
    if not forms:
        return not_seen("no finished export job was read")
    return as_assumed(f"{counts(forms)}; {', '.join(sorted(lives - {''})) or 'no expiry in them'}")


def _life(link: object) -> str:
    if not isinstance(link, str):
        return ""
    if found := _EXPIRY.search(link):
        return f"valid for {int(found[2]):,} s"
    return "with the time of their end" if _EXPIRES_AT.search(link) else ""


def _link_life(facts: Facts) -> Finding:
    if facts.api is Api.V1:
        lives = [
            job.expires_at - job.completed_at
            for job in facts.jobs.get(Kind.EXPORT) or []
            if isinstance(job, ExportJob) and job.expires_at and job.completed_at
        ]
        if not lives:
            return not_seen("no export job says when its file expires")
        return as_assumed(
            f"files expire {_length(min(lives))} to {_length(max(lives))} after the end"
        )
    if facts.old_link is None:
        return not_seen("the list has no finished export job")
    return seen(f"{_length(facts.old_link.age)} after its end, {facts.old_link.outcome}")


def _waiting_imports(facts: Facts) -> Finding:
    now = facts.evidence.clock.utc()
    ages = [
        now - job.created_at.astimezone(UTC)
        for job in facts.jobs.get(Kind.IMPORT) or []
        if job.status is JobStatus.PENDING and job.created_at is not None
    ]
    old = [age for age in ages if age > _DAY]
    if not old:
        return not_seen("no import job has waited for its file for a day")
    return as_assumed(
        f"{counted(len(old), 'import job')} still wait for a file after {_length(max(old))}"
    )


def _no_row_errors(facts: Facts) -> Finding:
    found = facts.clean_import
    if found is None:
        return not_seen("no completed import job that rejected no row")
    return as_assumed("HTTP 404" if found.errors is None else f"a list of {found.errors} errors")


def _row_errors(facts: Facts) -> Finding:
    found = facts.rejecting_import
    if found is None or not found.errors:
        return not_seen("no import job that rejected rows")
    lowest = "no row number" if found.lowest is None else f"the lowest row number is {found.lowest}"
    return seen(
        f"{counted(found.errors, 'error')} for {counted(found.rejected, 'rejected row')}; "
        f"{lowest}; errors with each member: {counts(found.members)}"
    )


def _import_names(facts: Facts) -> Finding:
    jobs = facts.jobs.get(Kind.IMPORT) or []
    own = sum(sent_rows(getattr(job, "file_name", None)) is not None for job in jobs)
    if not own:
        return not_seen("no import job in the list has a name that the target gave it")
    return as_assumed(f"{own} of {counted(len(jobs), 'import job')} have their names as sent")


def _sources(facts: Facts) -> Finding:
    if not facts.sources:
        return not_seen("no source is listed")
    parts = [
        f"{entity}: {counted(len(sources), 'source')}, {_is(DEFAULT_SOURCE in sources)}"
        for entity, sources in facts.sources.items()
    ]
    has_all = all(DEFAULT_SOURCE in sources for sources in facts.sources.values())
    return judged("; ".join(parts), is_right=has_all)


def _is(is_listed: bool) -> str:  # noqa: FBT001 - a word for each
    return f"{DEFAULT_SOURCE} is one" if is_listed else f"{DEFAULT_SOURCE} is none"


def _source_fields(facts: Facts) -> Finding:
    parts, is_right = [], True
    for entity, mapped in facts.source_fields.items():
        known = {each.job_name.rpartition("}.")[2] for each in facts.exported.get(entity, ())}
        number = sum(each.field in known for each in mapped)
        is_right &= number == len(mapped)
        if mapped:
            parts.append(f"{entity}: {number} of {len(mapped)}")
    if not parts:
        return not_seen("the setting source names no custom source with field mappings")
    return judged(
        f"field mappings that name an exported field: {'; '.join(parts)}", is_right=is_right
    )


def _documented_labels(facts: Facts) -> Finding:
    """Compare labels of the documents with those of the tenant; only the former are shown."""
    parts, is_right = [], True
    for entity, exported in facts.exported.items():
        labels = facts.documented[entity]
        known = {each.label for each in exported if each.label}
        folded = {each.casefold() for each in known}
        alike = [each for each in labels if each not in known and each.casefold() in folded]
        missing = [each for each in labels if each.casefold() not in folded]
        is_right &= not alike
        parts.append(
            f"{entity}: {len(labels) - len(alike) - len(missing)} of {len(labels)}, in another "
            f"case: {', '.join(alike) or 'none'}, not exported: {', '.join(missing) or 'none'}"
        )
    if not parts:
        return not_seen("no field is exported")
    return judged(f"documented labels of exported fields: {'; '.join(parts)}", is_right=is_right)


def _reference_values(facts: Facts) -> Finding:
    parts, have_ids = [], True
    for reference, values in facts.references.items():
        ids = {str(value.get("id")) for value in values if value.get("id") is not None}
        have_ids &= len(ids) == len(values)
        members = Counter(
            f"{mask_name(name)} ({kind_of(item)})"
            for value in values
            for name, item in value.items()
        )
        parts.append(
            f"{mask_name(reference)}: {counted(len(values), 'value')}, {counted(len(ids), 'id')}, "
            f"members {counts(members)}"
        )
    if not parts:
        return not_seen("no reference object is listed")
    says = "; ".join(parts)
    return as_assumed(says) if have_ids else seen(says)  # digests stand in for ids


_UAPI, _V1 = frozenset({Api.UAPI}), frozenset({Api.V1})

GUESSES: tuple[Guess, ...] = (
    Guess("job-members", Kind.EXPORT, _members(Kind.EXPORT)),
    Guess("job-statuses", Kind.EXPORT, _statuses(Kind.EXPORT)),
    Guess("server-clock", Kind.EXPORT, _clock),
    Guess("creation-times", Kind.EXPORT, _future),
    Guess("time-zones", Kind.EXPORT, _zones),
    Guess("list-pages", Kind.EXPORT, _pages),
    Guess("list-order", Kind.EXPORT, _order),
    Guess("empty-lists", Kind.EXPORT, _empty_lists),
    Guess("messages", Kind.EXPORT, _messages),
    Guess("field-types", Kind.EXPORT, _types),
    Guess("field-labels", Kind.EXPORT, _labels, _UAPI),
    Guess("change-dates", Kind.EXPORT, _change_dates),
    Guess("keys", Kind.EXPORT, _keys),
    Guess("activity-date", Kind.EXPORT, _activity_date, _UAPI),
    Guess("open-jobs", Kind.EXPORT, _open_at_a_time),
    Guess("result-links", Kind.EXPORT, _result_links, _UAPI),
    Guess("link-life", Kind.EXPORT, _link_life),
    Guess("reference-values", Kind.EXPORT, _reference_values, _UAPI),
    Guess("import-members", Kind.IMPORT, _members(Kind.IMPORT)),
    Guess("import-statuses", Kind.IMPORT, _statuses(Kind.IMPORT)),
    Guess("imports-without-file", Kind.IMPORT, _waiting_imports),
    Guess("row-error-list", Kind.IMPORT, _no_row_errors, _V1),
    Guess("row-error-form", Kind.IMPORT, _row_errors, _V1),
    Guess("import-names", Kind.IMPORT, _import_names),
    Guess("documented-labels", Kind.IMPORT, _documented_labels, _UAPI),
    Guess("source-fields", Kind.IMPORT, _source_fields, _UAPI),
    Guess("import-sources", Kind.IMPORT, _sources, _UAPI),
)
"""Guesses that need no job, in the order of docs/assumptions.md."""
