"""Runs the target repeatedly with random faults, and compares the tenant with the source."""

from __future__ import annotations

import argparse
import io
import json
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from target_demandbase.target import TargetDemandbase
from tests.sandbox_time import SandboxTime

MAX_CLEAN_RUNS = 3
KEYS, RECORDS = 14, 30


@dataclass(frozen=True)
class Source:
    """The records for one API, and its faults.

    Args:
        entity: An entity for which the API adds unknown rows.
        key: Key column.
        name: A column that most records have.
        notes: A column that few records have.
        others: Required columns, as formats of the key.
        labels: Labels of the columns, if the API uses them.
    """

    entity: str
    key: str
    name: str
    notes: str
    others: dict[str, str]
    labels: dict[str, str]
    faults: list[tuple[str, Effect, dict[str, Any]]]

    def schema(self) -> dict[str, Any]:
        """Return the SCHEMA message."""
        text = {"type": ["string", "null"]}
        columns = dict.fromkeys((self.name, self.notes, *self.others), text)
        return {
            "type": "SCHEMA",
            "stream": self.entity,
            "schema": {"type": "object", "properties": {self.key: {"type": "string"}, **columns}},
            "key_properties": [self.key],
        }


class ImpatientTarget(TargetDemandbase):
    """The target with short waits between retries."""

    retry = RetryPolicy(tries=3, base_seconds=0.0001, max_seconds=0.001)


@dataclass
class Figures:
    """Results of the runs."""

    rounds: int = 0
    faults: int = 0
    failed_runs: int = 0
    clean_runs: int = 0
    jobs: int = 0
    problems: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)


class _Input(io.StringIO):
    """Input that ends the run after some lines, as SIGTERM does."""

    def __init__(self, text: str, lines: int | None) -> None:
        super().__init__(text)
        self._left = lines

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return self

    def __next__(self) -> str:  # type: ignore[override]
        if self._left is not None:
            if self._left == 0:
                raise SystemExit(143)
            self._left -= 1
        return super().__next__()


class Soak:
    """Rounds of one run with random faults, and then runs without faults until one succeeds.

    Args:
        seed: Seed of records and faults.
        folder: Folder for spooled files, journal and rejects.
    """

    def __init__(self, sandbox: Sandbox, seed: int, folder: Path, api: str = "v1") -> None:
        self._sandbox = sandbox
        self._api = api
        self._source = SOURCES[api]
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._folder = folder
        self.figures = Figures()

    def round(self) -> None:
        """Run a round and record its problems."""
        sandbox, figures, draw = self._sandbox, self.figures, self._random
        sandbox.reset()
        sandbox.put_rows(self._source.entity, [])
        for calls in (self._folder / "spool").glob("demandbase-calls-*.json"):
            calls.unlink()  # each round counts as a day
        figures.rounds += 1
        records = self._records()
        settings: dict[str, Any] = {
            "batch_size_rows": draw.choice([4, 7, 20]),
            "max_concurrent_jobs": draw.randint(1, 3),
            "rejects_path": str(self._folder / f"rejects-{figures.rounds}"),
        }
        lost = 0
        for fault in [self._fault() for _ in range(draw.randint(1, 4))]:
            sandbox.add_fault(fault)
            figures.faults += 1
            if fault.operation == "createImportJob" and fault.effect in _LOSE_A_RESPONSE:
                lost += fault.times or 0
        lines = draw.randrange(RECORDS) if draw.random() < 0.2 else None
        done, ended = self._run(records, 0, lines, settings)
        figures.ends[ended or "ok"] += 1
        sandbox.clear_faults()
        if ended:
            figures.failed_runs += 1
            for _ in range(MAX_CLEAN_RUNS):
                figures.clean_runs += 1
                done, ended = self._run(records, done, None, settings)
                if not ended:
                    break
        self._check(records, done, ended, Path(settings["rejects_path"]), lost)

    def _records(self) -> list[dict[str, Any]]:
        draw, source = self._random, self._source
        records = []
        for number in range(RECORDS):
            key = f"d{draw.randrange(KEYS)}.example"
            record: dict[str, Any] = {
                source.key: key,
                **{name: form.format(key) for name, form in source.others.items()},
            }
            if draw.random() < 0.9:
                record[source.name] = draw.choice([None, f"Nämé {number}", f'"{number}",\r\n'])
            if draw.random() < 0.15:
                record[source.notes] = f"note {number}"
            records.append(record)
        return records

    def _run(
        self, records: list[dict[str, Any]], start: int, lines: int | None, settings: dict[str, Any]
    ) -> tuple[int, str]:
        """Run the target from a record on; return the last state and the error's name, if any."""
        entity = self._source.entity
        messages: list[dict[str, Any]] = [self._source.schema()]
        for number, record in enumerate(records[start:], start + 1):
            messages.append({"type": "RECORD", "stream": entity, "record": record})
            if not number % 5:
                messages.append({"type": "STATE", "value": number})
        text = "".join(json.dumps(message) + "\n" for message in messages)
        config = {
            **self._credentials(),
            "spool_dir": str(self._folder / "spool"),
            **settings,
        }
        ended = ""
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
            try:
                target = ImpatientTarget(config=config)
                target.clock = SandboxTime(self._sandbox)
                target.listen(_Input(text, lines))
            except (DemandbaseError, SystemExit) as error:
                ended = type(error).__name__
        states = [json.loads(line) for line in out.getvalue().splitlines()]
        return max([start, *states]), ended

    def _check(
        self, records: list[dict[str, Any]], done: int, ended: str, rejects: Path, lost: int
    ) -> None:
        figures = self.figures
        where = f"round {figures.rounds}"
        figures.jobs += len(self._sandbox.import_jobs())
        if ended:
            figures.problems.append(f"{where}: runs without faults end with {ended}")
        if done != RECORDS:
            figures.problems.append(f"{where}: the state ends at {done}")
        expected: dict[str, dict[str, Any]] = {}
        source = self._source
        for record in records:
            blank = {source.name: None, source.notes: None}
            expected.setdefault(record[source.key], blank).update(record)
        rows = {str(row[source.key]): row for row in self._sandbox.rows(source.entity)}
        different = [
            key
            for key, record in expected.items()
            if key not in rows or any(rows[key][name] != value for name, value in record.items())
        ]
        if different or len(rows) != len(expected):
            figures.problems.append(f"{where}: {len(different)} of {len(expected)} rows differ")
        if list(rejects.glob("rejects-*")):
            figures.problems.append(f"{where}: rows were rejected")
        # Jobs of uapi that wait for a file are `new`: they cannot be cancelled and do nothing.
        open_jobs = [j for j in self._sandbox.import_jobs() if j["status"] == "pending"]
        # A job whose creation got no response may be that of another process: it is left alone.
        if len(open_jobs) > lost:
            figures.problems.append(f"{where}: {len(open_jobs)} jobs still wait for a file")

    def _credentials(self) -> dict[str, Any]:
        sandbox = self._sandbox
        if self._api == "v1":
            return {"api_url": sandbox.url, "access_token": sandbox.token}
        return {
            "api": self._api,
            "api_url": sandbox.uapi_url,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "field_mappings": {self._source.entity: self._source.labels},
        }

    def _fault(self) -> Fault:
        draw = self._random
        operation, effect, options = draw.choice(self._source.faults)
        chosen = {
            name: draw.choice(value) if isinstance(value, list) else value
            for name, value in options.items()
        }
        return Fault(
            operation, effect, after=draw.randint(0, 6), times=draw.choice([1, 2, 5]), **chosen
        )


_LOSE_A_RESPONSE = {Effect.DROP_AFTER, Effect.STALL, Effect.INVALID_JSON}
_API = ("createImportJob", "uploadImportFile", "listImportJobs", "getImportJob")
_FAULTS: list[tuple[str, Effect, dict[str, Any]]] = [
    *((name, Effect.DROP_BEFORE, {}) for name in _API),
    *((name, Effect.DROP_AFTER, {}) for name in _API),
    *((name, Effect.STALL, {"bytes": [0, 20, 100]}) for name in _API),
    *((name, Effect.STATUS, {"status": [500, 502, 503]}) for name in _API),
    *((name, Effect.INVALID_JSON, {}) for name in _API),
    ("createImportJob", Effect.STATUS, {"status": 429}),
    ("createImportJob", Effect.JOB_FAILS, {"message": "no luck"}),
    ("createImportJob", Effect.JOB_GONE, {"seconds": [0.5, 3, 6]}),
]
_V1_FAULTS: list[tuple[str, Effect, dict[str, Any]]] = [
    ("listFieldMappings", Effect.DROP_BEFORE, {}),
    ("cancelImportJob", Effect.STATUS, {"status": [500, 409]}),
    ("uploadImportFile", Effect.TOO_LARGE, {"bytes": [100, 200]}),
]
_UAPI_FAULTS: list[tuple[str, Effect, dict[str, Any]]] = [
    ("createToken", Effect.DROP_BEFORE, {}),
    ("createToken", Effect.STATUS, {"status": [500, 503]}),
]
_NAMES = {"first_name": "First Name", "last_name": "Last Name", "email": "Email"}
SOURCES = {
    "v1": Source("accounts", "domain", "name", "notes", {}, {}, _FAULTS + _V1_FAULTS),
    "uapi": Source(
        "people",
        "person_id",
        "title",
        "phone",
        {"first_name": "{}", "last_name": "{}", "email": "a@{}"},
        {"person_id": "External Person Id", "title": "Title", "phone": "Phone Number", **_NAMES},
        _FAULTS + _UAPI_FAULTS,
    ),
}


def soak(rounds: int, seed: int, api: str = "v1") -> Figures:
    """Run rounds and return their figures."""
    rows = dict.fromkeys(("accounts", "people", "opportunities", "activities"), 1)
    options = SandboxOptions(rows=rows, pending_seconds=1, processing_seconds=4, seed=seed)
    with tempfile.TemporaryDirectory() as folder, Sandbox(options) as sandbox:
        runner = Soak(sandbox, seed, Path(folder), api)
        for _ in range(rounds):
            runner.round()
    return runner.figures


def main() -> int:
    """Run a soak from the command line and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", choices=sorted(SOURCES), default="v1")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    logging.disable()
    figures = soak(arguments.rounds, arguments.seed, arguments.api)
    print(  # noqa: T201 - a command
        f"seed {arguments.seed}: {figures.rounds} rounds with {figures.faults} faults, "
        f"{figures.failed_runs} runs failed, {figures.clean_runs} runs without faults followed, "
        f"{figures.jobs} jobs\nruns ended as {dict(figures.ends)}"
    )
    for problem in figures.problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
