"""Faults: rules that say which requests fail, when, and how."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from demandbase_sandbox.exceptions import describe_problems, problem_message
from demandbase_sandbox.operations import (
    CREATING,
    EXPORTING,
    IMPORTING,
    OPERATIONS,
    PAGED,
    SIGNED_FILE,
)
from demandbase_sandbox.uapi.errors import ERROR_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


ANY = "*"
"""In a rule, the operation that stands for all."""

WAYS = (
    "empty", "no_header", "blank_lines",
    "missing_column", "extra_column", "duplicate_header", "ragged_row",
    "nul_bytes", "cut_in_quotes", "drop_last_row", "not_utf8",
)  # fmt: skip
"""Ways to spoil a file."""

ERROR_WAYS = ("lines", "from_3", "shuffled", "no_values", "lower_case", "truncated")
"""Ways to write row errors."""


class Effect(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    """Respond with ``status``, ``headers`` and ``body``, or with ``code``; do nothing else."""
    STATUS_AFTER = "status_after"
    """Run the operation, then respond with ``status``, ``headers`` and ``body``."""
    DROP_BEFORE = "drop_before"
    """Close the connection without a response; do nothing else."""
    DROP_AFTER = "drop_after"
    """Run the operation, then close the connection without a response."""
    DELAY = "delay"
    """Wait ``seconds`` before anything else."""
    STALL = "stall"
    """Send ``bytes`` of the body, then nothing for ``seconds``."""
    DRIP = "drip"
    """Send the body slowly: ``bytes`` (at least one) every ``seconds``."""
    HEADERS = "headers"
    """Send ``headers`` in place of the response's own; an empty value removes a header.

    Without ``ETag``, a file has no validator. Without ``Content-Length``, its body has no
    framing: it ends where the connection is closed."""
    LOCAL_TIMES = "local_times"
    """Write times without a zone, as clocks show them that are ``seconds`` ahead of UTC."""
    ALTER = "alter"
    """Merge ``members`` into the response's object; null removes a member.

    ``nulls`` are members to set to null. With ``items``, change listed objects instead: those
    that have these members, such as ``{"id": "…"}``; ``{}`` for all."""
    SHIFT = "shift"
    """Add ``members`` to the response's numbers, also to those of listed objects."""
    INVALID_JSON = "invalid_json"
    """Run the operation, then send only the first half of the JSON."""
    SHIFT_PAGE = "shift_page"
    """For lists and row errors: start the page ``rows`` later; below 0: earlier."""
    SAME_PAGE = "same_page"
    """For lists and row errors: send the first page, whichever is requested."""
    LAG = "lag"
    """For lists of jobs: leave out jobs that were created less than ``seconds`` ago."""
    OLDEST_FIRST = "oldest_first"
    """For lists of jobs: sort the oldest first."""
    TOO_LARGE = "too_large"
    """For uploadImportFile: reject files of more than ``bytes`` with 413 (over uapi: 400)."""
    JOB_FAILS = "job_fails"
    """For a create: the job fails with ``message``; an import applies ``rows`` rows before."""
    JOB_GONE = "job_gone"
    """For a create: the job is unknown from ``seconds`` after its creation on."""
    JOB_LATE = "job_late"
    """For a create: the job is unknown until ``seconds`` after its creation."""
    FILE_UNSEEN = "file_unseen"
    """For createImportJob: until ``seconds`` after the upload, the job appears as it was created.

    Until then, ``members`` replace those of its object: ``{"status": "validating"}``."""
    END_LAG = "end_lag"
    """For createImportJob: for ``seconds`` after its end, ``members`` replace those of the job.

    Figures that lag behind the status are ``{"success_count": 0, "error_count": None}``."""
    ODD_ERRORS = "odd_errors"
    """For getImportErrors: write row errors as ``how`` says; see ``ERROR_WAYS``."""
    NEVER_ENDS = "never_ends"
    """For a create: the job stays in processing."""
    MANGLE_CSV = "mangle_csv"
    """For a create of an export: spoil the file as ``how`` says; see ``WAYS``."""
    FOREIGN_JOB = "foreign_job"
    """For operations of jobs: before anything else, another client creates a job of that kind.

    Its request is that of the last creation, which is this request if it is one, but for the last
    character of a name; without any, there is no foreign job. It was created ``seconds`` ago. With
    the ``how`` "running", it never ends; otherwise, an import waits for its file. ``members``
    replace those of its object in all responses: ``{"jobName": "x"}`` or ``{"entity_type": "x"}``
    make it the job of another request; null removes one, and ``nulls`` are null. Limits do not
    apply to it."""
    EXPIRED_LINK = "expired_link"
    """For downloadExportFile and checkExportJobStatus: the link has already expired."""
    CUT = "cut"
    """For signedFile: end the body after ``bytes``; ``how`` is a ``CutMode``."""
    NO_RANGE = "no_range"
    """For signedFile: ignore the Range header."""
    CHANGED = "changed"
    """For signedFile: another ETag and, unless ``how`` is ``etag``, the rows in reverse order."""


class CutMode(StrEnum):
    """How the end of a body that is cut was announced."""

    CONTENT_LENGTH = "content_length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """No length and ``Connection: close``, so that the cut looks like the end."""
    LENGTH = "length"
    """Alias of ``content_length``."""
    SILENT = "silent"
    """Alias of ``close``."""


@dataclass(frozen=True)
class Fault:
    """A rule that makes matching requests fail.

    Of several rules with the same effect, the first that matches applies.

    Args:
        operation: Operation id of either API, or ``signedFile``. If both APIs have it, the rule
            is for both; ``{"api": "uapi"}`` in ``match`` restricts it to one. ``*`` stands for
            all operations that can have the effect.
        effect: What goes wrong.
        match: Values that a request must have, such as ``{"entity_type": "accounts", "part": 2}``:
            its parameters and members, ``job_id``, ``entity_type`` and ``api``.
        after: Number of matching requests that pass first.
        times: Number of requests that fail then. ``None``: all.
        probability: Probability that each of these fails, drawn from the sandbox's seed.
        status: HTTP status. For this argument and those below, see ``Effect``.
        code: A published error code in place of ``status`` and ``body``; see ``ERROR_CODES``.

    Raises:
        ValueError: An argument is invalid.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    operation: str
    effect: Effect
    match: Mapping[str, Any] = field(default_factory=dict)
    after: int = 0
    times: int | None = 1
    probability: float = 1
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    code: str = ""
    seconds: float = 0
    bytes: int = 0
    rows: int = 0
    how: str = ""
    message: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()
    items: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.operation not in {*OPERATIONS, ANY}:
            known = ", ".join(sorted(OPERATIONS))
            raise ValueError(f"unknown operation {self.operation!r}; known operations: {known}")
        possible = _OPERATIONS_WITH.get(self.effect, OPERATIONS - {SIGNED_FILE})
        if self.operation not in possible | {ANY}:
            known = ", ".join(sorted(possible))
            raise ValueError(f"{self.effect} is no effect on {self.operation}, only on {known}")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability must be from 0 to 1")
        if min(self.after, self.times or 0, self.bytes) < 0:
            raise ValueError("after, times and bytes must not be negative")
        if self.seconds < 0 and self.effect is not Effect.LOCAL_TIMES:
            raise ValueError("seconds must not be negative")
        if not 200 <= self.status <= 599:  # noqa: PLR2004 - final responses
            raise ValueError("status must be from 200 to 599")
        if self.code and not (self.effect is Effect.STATUS and self.code in ERROR_CODES):
            raise ValueError(f"code needs the effect status and is one of {', '.join(ERROR_CODES)}")
        if not all(value.isprintable() for value in self.headers.values()):
            raise ValueError("headers must be printable texts")
        ways = _ways(self.effect)
        if ways is not None and self.how not in ways:
            known = ", ".join(sorted(ways - {""}))
            raise ValueError(f"unknown how {self.how!r} of {self.effect}; known are {known}")


_OPERATIONS_WITH: dict[Effect, frozenset[str]] = {
    **dict.fromkeys(
        (Effect.STATUS, Effect.HEADERS, Effect.DROP_BEFORE, Effect.DELAY, Effect.STALL,
         Effect.DRIP),
        OPERATIONS,
    ),
    **dict.fromkeys((Effect.SHIFT_PAGE, Effect.SAME_PAGE), PAGED),
    **dict.fromkeys((Effect.LAG, Effect.OLDEST_FIRST), PAGED - {"getImportErrors"}),
    Effect.TOO_LARGE: frozenset({"uploadImportFile"}),
    **dict.fromkeys(
        (Effect.JOB_FAILS, Effect.JOB_GONE, Effect.NEVER_ENDS, Effect.JOB_LATE), CREATING
    ),
    **dict.fromkeys((Effect.FILE_UNSEEN, Effect.END_LAG), frozenset({"createImportJob"})),
    Effect.ODD_ERRORS: frozenset({"getImportErrors"}),
    Effect.MANGLE_CSV: CREATING - {"createImportJob"},
    Effect.FOREIGN_JOB: EXPORTING | IMPORTING,
    Effect.EXPIRED_LINK: frozenset({"downloadExportFile", "checkExportJobStatus"}),
    **dict.fromkeys((Effect.CUT, Effect.NO_RANGE, Effect.CHANGED), frozenset({SIGNED_FILE})),
}  # fmt: skip
"""The operations that can have an effect; others are effects of all but ``SIGNED_FILE``."""


def _ways(effect: Effect) -> frozenset[str] | None:
    """Return the values of ``how``; ``None`` if the effect ignores it."""
    if effect is Effect.MANGLE_CSV:
        return frozenset({"", *WAYS})
    if effect is Effect.ODD_ERRORS:
        return frozenset(ERROR_WAYS)
    if effect is Effect.FOREIGN_JOB:
        return frozenset({"", "running"})
    if effect is Effect.CUT:
        return frozenset({"", *CutMode})
    if effect is Effect.CHANGED:
        return frozenset({"", "etag", "content"})
    return None


@dataclass(frozen=True, kw_only=True)
class JobFaults:
    """Faults of a job after its creation.

    Args:
        fails: Error message of the job. ``None``: it does not fail.
        rows: Rows that a failing import applies first.
        gone_after: Seconds after its creation at which it becomes unknown.
        never_ends: Whether the job stays in processing.
        way_to_mangle: How an export's files are spoiled; see ``mangle``.
        foreign: Whether another client created it. Limits do not apply then.
        age: Seconds since its creation when it appears.
        members: Members that replace those of its object in responses.
        nulls: Members that are null in responses.
        unknown_for: Seconds after its creation during which it is unknown.
        unseen_for: Seconds after an import's upload during which it appears as it was created.
            ``None``: none, and ``first_members`` do not apply.
        first_members: Members that replace those of an import's object until then.
        lags_for: Seconds after an import's end during which ``last_members`` apply.
        last_members: Members that replace those of its object.
    """

    fails: str | None = None
    rows: int = 0
    gone_after: float | None = None
    never_ends: bool = False
    way_to_mangle: str = ""
    foreign: bool = False
    age: float = 0
    members: Mapping[str, Any] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()
    unknown_for: float = 0
    unseen_for: float | None = None
    first_members: Mapping[str, Any] = field(default_factory=dict)
    lags_for: float = 0
    last_members: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_foreign_job(cls, fault: Fault) -> Self:
        """Return the faults of the job of another client."""
        return cls(
            never_ends=fault.how == "running",
            foreign=True,
            age=fault.seconds,
            members=fault.members,
            nulls=fault.nulls,
        )


NO_FAULTS = JobFaults()

_OF_JOBS = (
    Effect.JOB_FAILS, Effect.JOB_GONE, Effect.NEVER_ENDS, Effect.MANGLE_CSV,
    Effect.JOB_LATE, Effect.FILE_UNSEEN, Effect.END_LAG,
)  # fmt: skip


class FaultRules:
    """Decides which requests fail. Thread-safe.

    Args:
        faults: The first rules.
        seed: Seed of rules with a probability.
    """

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._draw = _draws(seed)
        self._rules: list[tuple[Fault, list[int]]] = [(fault, [0]) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Add a rule."""
        with self._lock:
            self._rules.append((fault, [0]))

    def clear(self) -> None:
        """Remove all rules and restart the random numbers."""
        with self._lock:
            self._rules.clear()
            self._draw = _draws(self._seed)

    def hits(
        self, operation: str, facts: Mapping[str, Any], *effects: Effect
    ) -> dict[Effect, Fault]:
        """Return the faults of a request, and count it for the rules that match."""
        struck: dict[Effect, Fault] = {}
        with self._lock:
            for fault, met in self._rules:
                if fault.operation not in {operation, ANY} or fault.effect not in effects:
                    continue
                if fault.effect in struck:
                    continue
                if any(facts.get(name) != value for name, value in fault.match.items()):
                    continue
                met[0] += 1
                turn = met[0] - fault.after
                if turn < 1 or (fault.times is not None and turn > fault.times):
                    continue
                if fault.probability == 1 or self._draw.random() < fault.probability:
                    struck[fault.effect] = fault
        return struck

    def job_faults(self, operation: str, facts: Mapping[str, Any]) -> JobFaults:
        """Return the faults of the job that a request creates."""
        hits = self.hits(operation, facts, *_OF_JOBS)
        fails, gone = hits.get(Effect.JOB_FAILS), hits.get(Effect.JOB_GONE)
        mangled, late = hits.get(Effect.MANGLE_CSV), hits.get(Effect.JOB_LATE)
        unseen, lag = hits.get(Effect.FILE_UNSEEN), hits.get(Effect.END_LAG)
        return JobFaults(
            fails=fails.message if fails else None,
            rows=fails.rows if fails else 0,
            gone_after=gone.seconds if gone else None,
            never_ends=Effect.NEVER_ENDS in hits,
            way_to_mangle=mangled.how if mangled else "",
            unknown_for=late.seconds if late else 0,
            unseen_for=unseen.seconds if unseen else None,
            first_members=unseen.members if unseen else {},
            lags_for=lag.seconds if lag else 0,
            last_members=lag.members if lag else {},
        )


def _draws(seed: int) -> random.Random:
    return random.Random(f"faults/{seed}")  # noqa: S311 - a script, no secret


_RULES = TypeAdapter(list[Fault])


def faults_from_json(text: str | bytes) -> tuple[Fault, ...]:
    """Return the faults of a JSON list of objects with the members of :class:`Fault`.

    Raises:
        ValueError: The text is invalid; the message names the rule and the member.
    """
    try:
        return tuple(_RULES.validate_json(text))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        rule, *member = problem["loc"] or ("",)
        place = (
            f"rule {rule + 1}" if isinstance(rule, int) else "faults must be a JSON list of rules"
        )
        reason = describe_problems([problem]) if member else problem_message(problem)
        raise ValueError(f"{place}: {reason}") from None


def replace_members(
    holder: dict[str, Any], members: Mapping[str, Any], nulls: Sequence[str] = ()
) -> None:
    """Merge members into an object, where ``None`` removes one, and set others to null."""
    holder.update(members)
    for name in [name for name, value in members.items() if value is None]:
        del holder[name]
    holder.update(dict.fromkeys(nulls))
