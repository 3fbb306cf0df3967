"""Runs the target repeatedly with random faults, and compares the tenant with the source.

A round is one run with faults, which a signal may end or a kill at a random moment, and then runs
without faults until one succeeds. Meanwhile the source may get newer rows. The kinds of rounds:

- ``upsert``: rows whose keys repeat;
- ``insert``: rows that must never be sent twice (over uapi: activities);
- ``rejects``: rows of which the server rejects some, with ``on_reject: continue`` (v1 only);
- ``two``: two runs at once that share a folder.

After each run, what its last state covers has landed or is in the dead letters. At the end:

- the rows of the tenant are those of the source, and an hour later they still are;
- no row was inserted twice, and one that may be in already says so in the dead letters;
- the last state was emitted, and no row was rejected that the server takes;
- no job of another client was cancelled or got a file;
- over v1 no job waits for a file unless the response to its creation was lost.

A run that inserts may stop and name the entry of the journal that a person has to give up. The
round does what the person would: it gives it up and sends the rows that are not there.

With ``--fresh-disk``, each run has an empty folder of its own. The runs with faults are killed,
once or twice, and the next run begins two minutes later, with the same rows if they are inserted.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.command_process import preload
from tests.soak import described
from tests.target_process import KILLED, End, SharedClock, TargetProcess

MAX_CLEAN_RUNS = 4
MAX_ANSWERS = 4
KEYS, RECORDS, NEWER = 14, 30, 6
MINUTE, HOUR = 60, 3600
TEXT = {"type": ["string", "null"]}
PACE = 0.002
"""Real seconds for a second that one of two runs sleeps: the other must keep up."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """The records of one kind of round over one API.

    Args:
        entity: An entity for which the API adds unknown rows.
        key: Column that identifies a row. With ``adds``, the source has one row of each key.
        name: A column that most records have.
        notes: A column that few records have.
        others: Required columns, as formats of the key.
        number: A numeric column. The server rejects rows whose value is none.
        adds: Whether the API adds each row that it gets.
        settings: Settings of the target.
    """

    entity: str
    key: str
    name: str
    notes: str
    others: dict[str, str] = field(default_factory=dict)
    number: str = ""
    adds: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def schema(self) -> Record:
        """Return the SCHEMA message."""
        columns = [self.key, self.name, self.notes, *self.others, *filter(None, [self.number])]
        return {
            "type": "SCHEMA",
            "stream": self.entity,
            "schema": {"type": "object", "properties": dict.fromkeys(columns, TEXT)},
            "key_properties": [] if self.adds else [self.key],
        }

    def records(
        self, draw: random.Random, first: int, count: int, *, rejects: bool
    ) -> list[Record]:
        """Return records, numbered from ``first``; with ``rejects``, the server rejects some."""
        records = []
        for number in range(first, first + count):
            repeats = not (self.adds or rejects)
            key = f"d{draw.randrange(KEYS) if repeats else number}.example"
            record: Record = {
                self.key: key,
                **{name: form.format(key) for name, form in self.others.items()},
            }
            if draw.random() < 0.9:
                record[self.name] = draw.choice([None, f"Nämé {number}", f'"{number}",\r\n'])
            if draw.random() < 0.15:
                record[self.notes] = f"note {number}"
            if self.number:
                good, bad = [None, "1", "25", "1"], ["Viel", "zu WENIG", "Viel", '7"\n8']
                record[self.number] = draw.choice(bad if rejects and draw.random() < 0.2 else good)
            records.append(record)
        return records

    def is_rejected(self, record: Record) -> bool:
        """Return whether the server rejects a record."""
        number = record.get(self.number)
        return number is not None and not number.isdigit()

    def merged(self, records: Iterable[Record]) -> dict[str, Record]:
        """Return the rows of the tenant after records were sent in their order, by key."""
        rows: dict[str, Record] = {}
        for record in records:
            blank = {self.name: None, self.notes: None}
            rows.setdefault(record[self.key], blank).update(record)
        return rows


@dataclass
class Figures:
    """Results of the runs."""

    rounds: int = 0
    faults: int = 0
    failed_runs: int = 0
    clean_runs: int = 0
    jobs: int = 0
    answers: int = 0
    problems: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)


KINDS = {
    "v1": ("upsert", "upsert", "insert", "insert", "rejects", "rejects", "two"),
    "uapi": ("upsert", "upsert", "insert", "insert", "two"),
}


class Soak:
    """Rounds on one sandbox.

    Args:
        sandbox: A tenant with one row of each entity.
        seed: Seed of records and faults.
        folder: Folder for spooled files, journals and rejects.
        api: ``v1`` or ``uapi``.
        fresh_disk: Whether each run has a folder of its own.
    """

    kinds: ClassVar[Mapping[str, tuple[str, ...]]] = KINDS
    """Kinds of rounds by API."""
    kill_share = 0.25
    """Share of the first runs that are killed."""

    def __init__(
        self,
        sandbox: Sandbox,
        seed: int,
        folder: Path,
        api: str = "v1",
        *,
        fresh_disk: bool = False,
    ) -> None:
        self._sandbox = sandbox
        self._fresh_disk = fresh_disk
        self._clock = SharedClock(sandbox.clock)
        self._api = api
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._base = folder
        self.figures = Figures()

    def round(self, number: int) -> None:
        """Run a round and record its problems."""
        sandbox, draw = self._sandbox, self._random
        draw.seed(f"{self._seed}/{number}")
        sandbox.reset()
        self._clock.advance(0)
        self._number, self._runs, self._kills, self._answers = number, 0, 0, 0
        self._folder = self._base / str(number)
        self._faults: list[Fault] = []
        self._log: list[str] = []
        kinds = self.kinds[self._api]
        self._kind = draw.choice(
            [kind for kind in kinds if kind != "two"] if self._fresh_disk else kinds
        )
        self._source = SOURCES[self._api, "insert" if self._kind == "insert" else "upsert"]
        if self._kind != "upsert" and draw.random() < 0.4:
            self._source = SOURCES[self._api, "insert"]
        # Rows in the tenant that are not the source's.
        self._others = len(sandbox.rows(self._source.entity))
        self._settings: dict[str, Any] = {
            **self._source.settings,
            "batch_size_rows": draw.choice([4, 7, 20]),
            "max_concurrent_jobs": draw.randint(1, 3),
            "job_timeout_seconds": 2 * HOUR,
            "rejects_path": str(self._folder / "rejects"),
            "spool_dir": str(self._folder / "spool"),
            "on_reject": "continue" if self._kind == "rejects" else "fail",
            **self._credentials(),
        }
        self.figures.rounds += 1
        self.figures.kinds[self._kind] += 1
        for _ in range(draw.randint(0 if self._kind == "two" else 1, 4)):
            self._add_fault()
        if self._fresh_disk:
            self._killed()
        elif self._kind == "two":
            self._two()
        else:
            self._one()
        self._check_jobs()
        self.figures.answers += self._answers
        self.figures.jobs += len(sandbox.import_jobs())

    def _one(self) -> None:
        """Run once with faults, and then without until a run succeeds."""
        draw, figures = self._random, self.figures
        records = self._records(0, RECORDS)
        lines = draw.randrange(RECORDS) if draw.random() < 0.15 else None
        kill_after = draw.randrange(25) if draw.random() < self.kill_share else None
        done, end = self._run(records, 0, lines, kill_after)
        figures.ends[end.error or "ok"] += 1
        self._sandbox.clear_faults()
        if end.error:
            figures.failed_runs += 1
            if draw.random() < 0.5:
                records += self._records(RECORDS, NEWER)
            done, end = self._run_to_end(records, done)
        self._check(records, done, end)

    def _killed(self) -> None:
        """Run once or twice until a kill, and then without faults until a run succeeds."""
        draw, figures = self._random, self.figures
        records = self._records(0, RECORDS)
        done, end = 0, End([])
        for _ in range(draw.choice([1, 1, 2])):
            first = done
            done, end = self._run(records[first:], 0, None, draw.randrange(3, 40))
            done += first
            figures.ends[end.error or "ok"] += 1
            self._clock.advance(2 * MINUTE)
            if end.error != KILLED:
                break
        self._sandbox.clear_faults()
        if end.error:
            figures.failed_runs += 1
            if not self._source.adds and draw.random() < 0.5:
                records += self._records(RECORDS, NEWER)
            done, end = self._run_to_end(records, done)
        self._check(records, done, end)

    def _run_to_end(self, records: list[Record], done: int) -> tuple[int, End]:
        """Run without faults until a run succeeds; do what a run asks a person to do."""
        end, runs = End([]), 0
        missing = list(range(done, len(records)))
        if self._answers:
            missing = self._not_there(records, missing)
        while runs < MAX_CLEAN_RUNS:
            runs += 1
            self.figures.clean_runs += 1
            sent = [records[number] for number in missing]
            count, end = self._run(sent, 0, None, None)
            missing = missing[count:]
            done = missing[0] if missing else len(records)
            if not end.error:
                break
            if end.error == "PossibleDuplicatesError" and self._answers < MAX_ANSWERS:
                self._answers, runs = self._answers + 1, 0
                missing = self._answer(end, records, missing)
        return done, end

    def _answer(self, end: End, records: list[Record], missing: list[int]) -> list[int]:
        """Give up the entries that a run names; return the rows that are still to be sent."""
        if not self._source.adds:
            self._problem(f"a run that may send rows again stopped: {end.message}")
        if self._fresh_disk:  # the folder is gone: the list stops such rows for a day
            self._clock.advance(25 * HOUR)
            return self._not_there(records, missing)
        named = [Path(found) for found in re.findall(r"/[^\s,)]+\.json", end.message)]
        if not named or not all(path.is_file() for path in named):
            self._problem(f"the run names no journal entry: {end.message}")
            return missing
        for path in named:
            path.rename(f"{path}.given-up")
        self._clock.advance(HOUR)
        return self._not_there(records, missing)

    def _not_there(self, records: list[Record], missing: list[int]) -> list[int]:
        there = self._counts() + Counter(list(self._dead()))
        return [number for number in missing if not there[records[number][self._source.key]]]

    def _two(self) -> None:
        """Run twice at once on one folder, then each to its end."""
        draw, source = self._random, self._source
        count = RECORDS // 2
        parts = [self._records(0, count), self._records(count, count)]
        processes = [self._start(part, 0, None, pace=PACE) for part in parts]
        if draw.random() < 0.3:
            time.sleep(draw.random() * 0.3)
            processes[draw.randrange(2)].kill()
            self._kills += 1
        ends = [self._ended(process, 0) for process in processes]
        for end in ends:
            self.figures.ends[end.error or "ok"] += 1
        self._sandbox.clear_faults()
        done = [max([0, *end.states]) for end in ends]
        first = done.copy()
        for number in (0, 1):
            if ends[number].error:
                self.figures.failed_runs += 1
                first[number], ends[number] = self._run_to_end(parts[number], done[number])
        if source.adds:
            self._check(parts[0] + parts[1], sum(first), ends[0] if ends[0].error else ends[1])
            return
        one, two = parts
        # One run follows the other; what a failed one left is sent after both.
        possible = [
            source.merged(chain(*sequence))
            for sequence in (
                (one, two),
                (two, one),
                (one[: done[0]], two[: done[1]], one[done[0] :], two[done[1] :]),
                (two[: done[1]], one[: done[0]], one[done[0] :], two[done[1] :]),
            )
        ]
        found = self._rows()
        if not any(self._differing(found, rows) == [] for rows in possible):
            self._problem(f"the rows are none of the possible ones after {done}")
        for end in ends:
            if end.error:
                self._problem(f"runs without faults end with {end.error}: {end.message}")

    def _records(self, first: int, count: int) -> list[Record]:
        rejects = self._kind == "rejects"
        return self._source.records(self._random, first, count, rejects=rejects)

    def _run(
        self, records: list[Record], start: int, lines: int | None, kill_after: int | None
    ) -> tuple[int, End]:
        """Run the target from a record on; return how many are covered, and how the run ended."""
        before = len(self._sandbox.requests())
        process = self._start(records, start, lines)
        if kill_after is not None:
            while process.is_running and len(self._sandbox.requests()) - before < kill_after:
                time.sleep(0.0005)
            time.sleep(self._random.random() * 0.004)
            process.kill()
            self._kills += 1
        end = self._ended(process, start)
        done = max([start, *end.states])
        self._check_covered(records[:done])
        return done, end

    def _start(
        self, records: list[Record], start: int, lines: int | None, pace: float = 0
    ) -> TargetProcess:
        messages = [self._source.schema()]
        for number, record in enumerate(records[start:], start + 1):
            messages.append({"type": "RECORD", "stream": self._source.entity, "record": record})
            if not number % 5 or number == len(records):
                messages.append({"type": "STATE", "value": number})
        text = "".join(json.dumps(message) + "\n" for message in messages)
        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        if self._fresh_disk:
            self._settings["spool_dir"] = str(self._folder / f"disk-{self._runs}")
        return self._process(text, lines, folder, pace)

    def _process(self, text: str, lines: int | None, folder: Path, pace: float) -> TargetProcess:
        return TargetProcess(self._clock, self._settings, text, lines, folder, pace)

    def _ended(self, process: TargetProcess, start: int) -> End:
        end = process.wait()
        self._log.append(f"{start}: {end.error or 'ok'} {end.states[-1:]} {end.message[:300]}")
        if end.is_bug:
            self._problem(f"the run has no words for {end.message}")
        return end

    def _counts(self) -> Counter[str]:
        """Return how often each key of the source is in the tenant."""
        return Counter(
            str(row[self._source.key]) for row in self._sandbox.rows(self._source.entity)
        )

    def _rows(self) -> dict[str, Record]:
        return {str(row[self._source.key]): row for row in self._sandbox.rows(self._source.entity)}

    def _dead(self) -> dict[str, str]:
        """Return the reasons of the dead letters by key."""
        return {
            message["record"][self._source.key]: json.dumps(message["record"])
            for path in (self._folder / "rejects").glob("rejects-*.jsonl")
            for message in map(json.loads, path.read_text(encoding="utf-8").splitlines())
            if message["type"] == "RECORD"
        }

    def _check_covered(self, records: list[Record]) -> None:
        """Check that the rows that a state covers have landed, or are kept."""
        rows, dead = self._counts(), self._dead()
        lost = {
            record[self._source.key]
            for record in records
            if not rows[record[self._source.key]] and record[self._source.key] not in dead
        }
        if lost:
            self._problem(f"{len(lost)} rows are lost that a state covers")

    def _differing(self, rows: dict[str, Record], expected: dict[str, Record]) -> list[str]:
        return [key for key, record in expected.items() if _differs(rows.get(key), record)]

    def _check(self, records: list[Record], done: int, end: End) -> None:
        if end.error:
            self._problem(f"runs without faults end with {end.error}: {end.message}")
            return
        if done != len(records):
            self._problem(f"the state ends at {done}")
        self._check_rows(records, "")
        self._clock.advance(HOUR)
        self._check_rows(records, " an hour later")

    def _check_rows(self, records: list[Record], when: str) -> None:
        source, dead, counts = self._source, self._dead(), self._counts()
        good = [record for record in records if not source.is_rejected(record)]
        expected = source.merged(good)
        different = self._differing(self._rows(), expected)
        if different:
            self._problem(f"{len(different)} of {len(expected)} rows differ{when}")
        if counts.total() != len(expected) + self._others:
            self._problem(f"{counts.total() - len(expected)} rows too many{when}")
        kept = {record[source.key] for record in records if source.is_rejected(record)}
        if kept - dead.keys():
            self._problem(f"{len(kept - dead.keys())} rejected rows are not kept")
        both = [why for key, why in dead.items() if key in expected]
        if self._kind == "rejects":
            both = [why for why in both if source.adds and "may be in" not in why]
        if both:
            self._problem(f"{len(both)} rows are in the dead letters and in the tenant: {both[0]}")

    def _check_jobs(self) -> None:
        """Check that no job was left behind, and that those of others were left alone."""
        sandbox = self._sandbox
        foreign = {job["id"]: job["status"] for job in sandbox.foreign_jobs()}
        touched = any(
            f"/{job_id}/" in request.path
            for request in sandbox.requests("uploadImportFile")
            for job_id in foreign
        )
        if "cancelled" in foreign.values() or touched:
            self._problem("a job of another client was cancelled or got a file")
        # Jobs of uapi that wait for a file are `new`: they cannot be cancelled and do nothing.
        left = [
            job
            for job in sandbox.import_jobs()
            if job["status"] == "pending" and job["id"] not in foreign
        ]
        # A job whose creation got no response may be that of another process: it is left alone.
        lost = self._kills + sum(
            fault.times or 0
            for fault in self._faults
            if fault.operation == "createImportJob" and fault.effect in _LOSE_A_RESPONSE
        )
        if len(left) > lost:
            self._problem(f"{len(left)} jobs still wait for a file")

    def _problem(self, text: str) -> None:
        faults = "; ".join(map(described, self._faults))
        self.figures.problems.append(
            f"round {self._number} ({self._kind} of {self._source.entity}): {text}\n"
            f"  faults: {faults}\n  runs: " + "\n        ".join(self._log)
        )

    def _credentials(self) -> dict[str, Any]:
        sandbox = self._sandbox
        if self._api == "v1":
            return {"api_url": sandbox.url, "access_token": sandbox.token}
        return {
            "api": self._api,
            "api_url": sandbox.uapi_url,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
        }

    def _add_fault(self) -> None:
        draw = self._random
        operation, effect, options = draw.choice(FAULTS[self._api])
        chosen = {
            name: draw.choice(value) if isinstance(value, list) else value
            for name, value in options.items()
        }
        times = chosen.pop("times", draw.choice([1, 2, 5]))
        fault = Fault(operation, effect, after=draw.randint(0, 6), times=times, **chosen)
        if effect in _OF_THE_FIRST:
            fault = replace(fault, after=draw.randint(0, 1))
        self._sandbox.add_fault(fault)
        self._faults.append(fault)
        self.figures.faults += 1


def _differs(row: Record | None, sent: Record) -> bool:
    return row is None or any((row.get(name) or None) != value for name, value in sent.items())


_Rule = tuple[str, Effect, dict[str, Any]]
_OF_THE_FIRST = frozenset({Effect.FILE_UNSEEN, Effect.JOB_LATE, Effect.END_LAG, Effect.JOB_FAILS})
_LOSE_A_RESPONSE = frozenset({
    Effect.DROP_AFTER, Effect.STALL, Effect.INVALID_JSON, Effect.STATUS_AFTER,
})  # fmt: skip
_API = ("createImportJob", "uploadImportFile", "listImportJobs", "getImportJob")
_READS = _API[2:]
_COUNTS = dict.fromkeys(("total_rows", "processed_rows", "success_count", "error_count"))
_WAITS = [{}, {"Retry-After": "2"}, {"Retry-After": "soon"}]
_HTML = {"status": 200, "body": "<html>Sign in</html>"}
_ODD_JOBS: list[dict[str, Any]] = [
    {}, {}, {"status": "odd", "state": "odd"}, {"created_at": "", "createdAt": "soon"},
    {"id": None}, {"id": {}}, {"total_rows": "12"}, {"entity_type": 7, "entityType": None},
    {"file_name": 7, "dataImportName": None},
]  # fmt: skip
_COMMON: list[_Rule] = [
    *((name, Effect.DROP_BEFORE, {}) for name in _API),
    *((name, Effect.DROP_AFTER, {}) for name in _API),
    *((name, Effect.STALL, {"bytes": [0, 20, 100]}) for name in _API),
    *((name, Effect.STATUS, {"status": [500, 502, 503]}) for name in _API),
    *((name, Effect.INVALID_JSON, {}) for name in _API),
    *((name, Effect.STATUS, _HTML) for name in _READS),
    *((name, Effect.STATUS, {"status": [408, 425, 429], "headers": _WAITS}) for name in _API),
    *((name, Effect.STATUS, {"status": 401, "times": 1}) for name in _READS),
    ("createImportJob", Effect.STATUS, {"status": 429}),
    ("createImportJob", Effect.STATUS_AFTER, {"status": [502, 504]}),
    ("createImportJob", Effect.JOB_FAILS, {"message": "no luck"}),
    ("createImportJob", Effect.JOB_FAILS, {"message": "no luck", "rows": [1, 3]}),
    ("createImportJob", Effect.JOB_GONE, {"seconds": [0.5, 3, 6]}),
    ("createImportJob", Effect.JOB_LATE, {"seconds": [1, 3, 8]}),
    ("createImportJob", Effect.FILE_UNSEEN, {"seconds": [1, 4, 20, 90]}),
    ("createImportJob", Effect.FILE_UNSEEN, {"seconds": [1, 4, 20, 90]}),
    ("uploadImportFile", Effect.STATUS_AFTER, {"status": [504, 502, 503, 408]}),
    ("uploadImportFile", Effect.STATUS_AFTER, {"status": [504, 400, 404]}),
    ("uploadImportFile", Effect.STATUS, {"status": 404, "times": [1, 2]}),
    ("getImportJob", Effect.STATUS, {"status": 404, "times": [1, 2]}),
    ("listImportJobs", Effect.STATUS, {"status": 500, "times": None}),
    ("listImportJobs", Effect.LAG, {"seconds": [1, 5, 20], "times": None}),
    ("listImportJobs", Effect.SAME_PAGE, {"times": None}),
    ("listImportJobs", Effect.OLDEST_FIRST, {"times": None}),
    ("listImportJobs", Effect.ALTER, {"members": {"total": None, "totalCount": None}}),
    *(
        (
            name, Effect.FOREIGN_JOB,
            {"seconds": [0, 1, 60, 7200], "how": ["", "running"], "members": _ODD_JOBS},
        )
        for name in ("createImportJob", "listImportJobs")
    ),
]  # fmt: skip
_V1_ONLY: list[_Rule] = [
    ("listFieldMappings", Effect.DROP_BEFORE, {}),
    ("cancelImportJob", Effect.STATUS, {"status": [500, 409, 404]}),
    ("cancelImportJob", Effect.DROP_AFTER, {}),
    ("uploadImportFile", Effect.TOO_LARGE, {"bytes": [100, 200]}),
    ("createImportJob", Effect.FILE_UNSEEN, {"members": [
        {"status": "validating"}, {"file_name": ""}, {"status": "pending", "file_name": ""},
    ]}),
    ("createImportJob", Effect.END_LAG, {"seconds": [1, 3], "members": [
        {"success_count": 0, "error_count": 0}, {"processed_rows": 1}, {"error_count": 3},
        {"success_count": None, "error_count": None}, {"error_message": "3 rows were skipped"},
    ]}),
    *((name, Effect.SHIFT, {"members": [{"success_count": -1}, {"error_count": 1}]})
      for name in _READS),
    ("listImportJobs", Effect.ALTER, {"items": {}, "members": _COUNTS, "times": None}),
    ("getImportErrors", Effect.STATUS, {"status": [404, 500, 503]}),
    ("getImportErrors", Effect.SAME_PAGE, {"times": None}),
    ("getImportErrors", Effect.ALTER, {"members": {"total": None}, "times": None}),
    *(
        ("getImportErrors", Effect.ODD_ERRORS, {"times": None, "how": [
            "lines", "from_3", "shuffled", "no_values", "lower_case", "truncated"]})
        for _ in range(4)
    ),
]  # fmt: skip
_UAPI_ONLY: list[_Rule] = [
    ("createToken", Effect.DROP_BEFORE, {}),
    ("createToken", Effect.STATUS, {"status": [500, 503]}),
]
FAULTS = {"v1": _COMMON + _V1_ONLY, "uapi": _COMMON + _UAPI_ONLY}
_NAMES = {"first_name": "First Name", "last_name": "Last Name", "email": "Email"}
_PEOPLE = {"person_id": "External Person Id", "title": "Title", "phone": "Phone Number", **_NAMES}
SOURCES = {
    ("v1", "upsert"): Source("accounts", "domain", "name", "notes", number="engagement_score"),
    ("v1", "insert"): Source(
        "activities", "subject", "channel", "person_id", {"activity_type": "email"},
        number="duration_seconds", adds=True, settings={"operation": "insert"},
    ),
    ("uapi", "upsert"): Source(
        "people", "person_id", "title", "phone",
        {"first_name": "{}", "last_name": "{}", "email": "a@{}"},
        settings={
            "field_mappings": {"people": _PEOPLE}, "custom_fields": {"people": ["Phone Number"]},
        },
    ),
    ("uapi", "insert"): Source(
        "activities", "subject", "channel", "note",
        {"person_id": "per-00000001", "activity_at": "2026-01-02T03:04:05Z"}, adds=True,
        settings={
            "field_mappings": {"activities": {
                "person_id": "External Person Id", "activity_at": "Activity Date",
                "subject": "Subject", "channel": "Channel", "note": "Note",
            }},
            "activity_types": {"activities": 39},
            "custom_fields": {"activities": ["Subject", "Channel", "Note"]},
        },
    ),
}  # fmt: skip


def soak(
    rounds: int, seed: int, api: str = "v1", first: int = 1, *, fresh_disk: bool = False
) -> Figures:
    """Run rounds, which are numbered from ``first``, and return their figures."""
    rows = dict.fromkeys(("accounts", "people", "opportunities", "activities"), 1)
    options = SandboxOptions(rows=rows, pending_seconds=1, processing_seconds=4, seed=seed)
    with tempfile.TemporaryDirectory() as folder, Sandbox(options) as sandbox:
        runner = Soak(sandbox, seed, Path(folder), api, fresh_disk=fresh_disk)
        for number in range(first, first + rounds):
            runner.round(number)
    return runner.figures


def command_line(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return the options of a soak."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--api", choices=sorted(FAULTS), default="v1")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--first", type=int, default=1, help="number of the first round")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser


def show(figures: Figures, seed: int) -> int:
    """Print the figures of a soak; return its exit code."""
    print(  # noqa: T201 - a command
        f"seed {seed}: {figures.rounds} rounds with {figures.faults} faults, "
        f"{figures.failed_runs} runs failed, {figures.clean_runs} runs without faults followed, "
        f"{figures.jobs} jobs, {figures.answers} times journal entries were given up\n"
        f"kinds {dict(figures.kinds)}; runs ended as {dict(figures.ends)}"
    )
    for problem in figures.problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if figures.problems else 0


def main() -> int:
    """Run a soak from the command line and print its figures."""
    parser = command_line(__doc__, 200)
    parser.add_argument("--fresh-disk", action="store_true", help="no run has another's folder")
    given = parser.parse_args()
    logging.disable()
    # What this module imports: each process imports it, too.
    preload("tests.soak", "tests.target_process")
    figures = soak(given.rounds, given.seed, given.api, given.first, fresh_disk=given.fresh_disk)
    return show(figures, given.seed)


if __name__ == "__main__":
    sys.exit(main())
