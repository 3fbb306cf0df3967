"""Scripted trouble: which operation, when, and what goes wrong."""

from __future__ import annotations

import dataclasses
import json
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATIONS = frozenset(
    {
        "listExportableEntities", "createExportJob", "listExportJobs", "getExportJob",
        "cancelExportJob", "downloadExportFile", "createImportJob", "listImportJobs",
        "getImportJob", "cancelImportJob", "uploadImportFile", "getImportErrors",
        "listFieldMappings", "signedFile",
    }
)  # fmt: skip


class Effect(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    """Answer with ``status``, ``headers`` and ``body`` before anything is done."""
    DROP_BEFORE = "drop_before"
    """Break the connection before anything is done."""
    DROP_AFTER = "drop_after"
    """Do it, then break the connection: the reply is lost."""
    DELAY = "delay"
    """Answer after ``seconds``."""
    ALTER = "alter"
    """Put ``members`` into the answer's object; null takes a member out."""
    SHIFT = "shift"
    """Add ``members`` to the answer's numbers."""
    JOB_FAILS = "job_fails"
    """On a create: the job ends as failed, with ``message``."""
    NEVER_ENDS = "never_ends"
    """On a create: the job stays in processing."""
    MANGLE_CSV = "mangle_csv"
    """On createExportJob: the file is spoiled, in the way that ``how`` says."""
    EXPIRED_LINK = "expired_link"
    """On downloadExportFile: the link has expired already."""
    CUT = "cut"
    """On signedFile: the body ends after ``bytes``; ``how`` is length or silent."""
    STALL = "stall"
    """On signedFile: the body pauses after ``bytes`` for ``seconds``."""
    NO_RANGE = "no_range"
    """On signedFile: a Range header is ignored."""


@dataclass(frozen=True)
class Fault:
    """One rule.

    Args:
        operation: Operation id of the contract, or ``signedFile``.
        effect: What goes wrong.
        match: Only where these hold, as in ``{"entity_type": "accounts", "part": 2}``.
        after: How many matching requests pass first.
        times: How many are hit then; ``None`` for all.
    """

    operation: str
    effect: Effect
    match: Mapping[str, Any] = field(default_factory=dict)
    after: int = 0
    times: int | None = 1
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 0
    bytes: int = 0
    how: str = ""
    message: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: The operation is unknown.
        """
        if self.operation not in OPERATIONS:
            known = ", ".join(sorted(OPERATIONS))
            sentence = f"unknown operation {self.operation!r}; known are {known}"
            raise ValueError(sentence)


def faults_from_json(text: str) -> tuple[Fault, ...]:
    """Return the faults of a file: a JSON list of objects with the members of :class:`Fault`.

    Raises:
        ValueError: The text is something else; the sentence says where.
    """
    return faults_from_rules(json.loads(text))


def faults_from_rules(rules: object) -> tuple[Fault, ...]:
    """Return the faults of a list of rules.

    Raises:
        ValueError: The list is something else; the sentence says where.
    """
    names = {item.name for item in dataclasses.fields(Fault)}
    if not isinstance(rules, list):
        sentence = "a fault file holds a JSON list of rules"
        raise ValueError(sentence)  # noqa: TRY004 - the caller shows one kind of error
    faults = []
    for number, rule in enumerate(rules, 1):
        if not isinstance(rule, dict) or {"operation", "effect"} - rule.keys():
            sentence = f"rule {number} needs the members operation and effect"
            raise ValueError(sentence)
        if unknown := sorted(rule.keys() - names):
            sentence = f"rule {number} has unknown members: {', '.join(unknown)}"
            raise ValueError(sentence)
        if rule["effect"] not in set(Effect):
            sentence = f"rule {number} has an unknown effect; known are {', '.join(Effect)}"
            raise ValueError(sentence)
        faults.append(Fault(**{**rule, "effect": Effect(rule["effect"])}))
    return tuple(faults)


class FaultBook:
    """The rules in force and how often each was met."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Fault, list[int]]] = [(fault, [0]) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        with self._lock:
            self._rules.append((fault, [0]))

    def clear(self) -> None:
        """Take all rules out of force."""
        with self._lock:
            self._rules.clear()

    def hits(self, operation: str, facts: Mapping[str, Any], *effects: Effect) -> list[Fault]:
        """Return the faults that strike this request, and count it."""
        struck = []
        with self._lock:
            for fault, met in self._rules:
                if fault.operation != operation or fault.effect not in effects:
                    continue
                if any(facts.get(name) != value for name, value in fault.match.items()):
                    continue
                met[0] += 1
                turn = met[0] - fault.after
                if turn >= 1 and (fault.times is None or turn <= fault.times):
                    struck.append(fault)
        return struck
