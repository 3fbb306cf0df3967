"""Scripted trouble: which operation, when, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from demandbase_sandbox.csv_mangling import WAYS
from demandbase_sandbox.operations import CREATING, OPERATIONS, PAGED, SIGNED_FILE
from demandbase_sandbox.uapi.error_codes import ERROR_CODES

if TYPE_CHECKING:
    from collections.abc import Mapping


class Effect(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    """Answer ``status``, ``headers`` and ``body``, or ``code``, before anything is done."""
    DROP_BEFORE = "drop_before"
    """Close the connection without an answer, before anything is done."""
    DROP_AFTER = "drop_after"
    """Do it, then close the connection without an answer: the reply is lost."""
    DELAY = "delay"
    """Answer after ``seconds``."""
    STALL = "stall"
    """Send ``bytes`` of the body, then nothing for ``seconds``."""
    ALTER = "alter"
    """Put ``members`` into the answer's object; null takes a member out."""
    SHIFT = "shift"
    """Add ``members`` to the answer's numbers, those of listed objects included."""
    INVALID_JSON = "invalid_json"
    """Do it, then answer with the first half of the JSON."""
    SHIFT_PAGE = "shift_page"
    """On lists and row errors: the page starts ``rows`` later (below 0: earlier)."""
    TOO_LARGE = "too_large"
    """On uploadImportFile: 413 (over uapi: 400) to a file of more than ``bytes``."""
    JOB_FAILS = "job_fails"
    """On a create: the job ends as failed, with ``message``; an import takes ``rows`` rows."""
    JOB_GONE = "job_gone"
    """On a create: the job is unknown ``seconds`` after its creation."""
    NEVER_ENDS = "never_ends"
    """On a create: the job stays in processing."""
    MANGLE_CSV = "mangle_csv"
    """On a create of an export: the file is spoiled, in the way that ``how`` says."""
    EXPIRED_LINK = "expired_link"
    """On downloadExportFile and checkExportJobStatus: the link has expired already."""
    CUT = "cut"
    """On signedFile: the body ends after ``bytes``; ``how`` it was framed: see ``CutMode``."""
    NO_RANGE = "no_range"
    """On signedFile: a Range header is ignored."""
    CHANGED = "changed"
    """On signedFile: another ETag and, unless ``how`` is ``etag``, the rows in reverse."""


class CutMode(StrEnum):
    """How a body that is cut was announced."""

    CONTENT_LENGTH = "content_length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """No length, ``Connection: close``: the cut looks like the end."""
    LENGTH = "length"
    """Short for ``content_length``."""
    SILENT = "silent"
    """Another name for ``close``."""


@dataclass(frozen=True)
class Fault:
    """One rule. Of several rules with the same effect, the first that applies strikes.

    Args:
        operation: Operation id of either API, or ``signedFile``. An id that both have is
            struck in both; ``{"api": "uapi"}`` in ``match`` tells them apart.
        effect: What goes wrong.
        match: Only where these hold, as in ``{"entity_type": "accounts", "part": 2}``.
        after: How many matching requests pass first.
        times: How many are hit then; ``None`` for all.
        probability: How likely each of these hits is, drawn from the sandbox's seed.
        status: See ``Effect`` for this and the following.
        headers: Headers of a status.
        body: Body of a status.
        code: A published error code, in place of the status and its body: see ``ERROR_CODES``.
        seconds: For how long.
        bytes: After how many bytes.
        rows: How many rows.
        how: In which way.
        message: What a failed job says.
        members: Members of an answer.

    Raises:
        ValueError: It cannot be meant like this; the sentence says why.
    """

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

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.operation not in OPERATIONS:
            known = ", ".join(sorted(OPERATIONS))
            raise ValueError(f"unknown operation {self.operation!r}; known are {known}")
        if self.operation not in strikes(self.effect):
            where = ", ".join(sorted(strikes(self.effect)))
            raise ValueError(f"{self.effect} does not strike {self.operation}, only {where}")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability is a number from 0 to 1")
        if min(self.after, self.times or 0, self.seconds, self.bytes) < 0:
            raise ValueError("after, times, seconds and bytes are not below 0")
        if not 200 <= self.status <= 599:  # noqa: PLR2004 - what HTTP has for final answers
            raise ValueError("status is a number from 200 to 599")
        if self.code and not (self.effect is Effect.STATUS and self.code in ERROR_CODES):
            raise ValueError(f"code is of a status, one of {', '.join(ERROR_CODES)}")
        ways = _ways(self.effect)
        if ways is not None and self.how not in ways:
            known = ", ".join(sorted(ways - {""}))
            raise ValueError(f"unknown how {self.how!r} of {self.effect}; known are {known}")


def strikes(effect: Effect) -> frozenset[str]:  # noqa: PLR0911 - one for each kind of effect
    """Return the operations in which an effect can show."""
    match effect:
        case Effect.STATUS | Effect.DROP_BEFORE | Effect.DELAY | Effect.STALL:
            return OPERATIONS
        case Effect.DROP_AFTER | Effect.ALTER | Effect.SHIFT | Effect.INVALID_JSON:
            return OPERATIONS - {SIGNED_FILE}
        case Effect.SHIFT_PAGE:
            return PAGED
        case Effect.TOO_LARGE:
            return frozenset({"uploadImportFile"})
        case Effect.JOB_FAILS | Effect.JOB_GONE | Effect.NEVER_ENDS:
            return CREATING
        case Effect.MANGLE_CSV:
            return CREATING - {"createImportJob"}
        case Effect.EXPIRED_LINK:
            return frozenset({"downloadExportFile", "checkExportJobStatus"})
        case Effect.CUT | Effect.NO_RANGE | Effect.CHANGED:
            return frozenset({SIGNED_FILE})
        case _:
            assert_never(effect)


def _ways(effect: Effect) -> frozenset[str] | None:
    """Return what ``how`` may be; ``None`` where nobody asks."""
    if effect is Effect.MANGLE_CSV:
        return frozenset({"", *WAYS})
    if effect is Effect.CUT:
        return frozenset({"", *CutMode})
    if effect is Effect.CHANGED:
        return frozenset({"", "etag", "content"})
    return None
