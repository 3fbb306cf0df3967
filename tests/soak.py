"""Runs the tap repeatedly with random faults, and checks that every record arrives."""

from __future__ import annotations

import argparse
import io
import json
import logging
import random
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.tap import TapDemandbase
from tests.sandbox_time import SandboxTime

MAX_CLEAN_RUNS = 3
ROWS = 60
START = datetime(2026, 1, 1, 6, tzinfo=UTC)
FIELDS = [("id", "string"), ("seen_at", "datetime"), ("text", "string")]
ENTITIES = ("people", "opportunities")
CONFIG = {
    "entities": list(ENTITIES),
    "stream_options": {"opportunities": {"replication_key": "seen_at"}},
    "start_date": "2026-01-01",
    "end_date": "2026-01-31",
    "window_days": 12,
    "max_concurrent_jobs": 3,
    "request_timeout_seconds": 5,
}
# Operations of uapi with the same role; uapi cannot cancel jobs.
UAPI_NAMES = {
    "listExportJobs": "fetchExportJobsInfo",
    "getExportJob": "checkExportJobStatus",
    "downloadExportFile": "checkExportJobStatus",
    "cancelExportJob": "checkExportJobStatus",
}


class ImpatientTap(TapDemandbase):
    """The tap with short waits between retries."""

    retry = RetryPolicy(tries=3, base_seconds=0.0001, max_seconds=0.001)


class _Pipe(io.BytesIO):
    """A pipe whose reader closes it after some bytes."""

    def __init__(self, room: int | None) -> None:
        super().__init__()
        self._room = room

    def write(self, data: Any) -> int:  # noqa: ANN401
        if self._room is not None and self.tell() + len(data) > self._room:
            raise BrokenPipeError
        return super().write(data)


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


class Soak:
    """Rounds of one run with random faults, and then runs without faults until one succeeds.

    Args:
        sandbox: A tenant with few rows, in parts of few rows.
        seed: Seed of the faults.
    """

    def __init__(self, sandbox: Sandbox, seed: int, api: str) -> None:
        self._sandbox = sandbox
        self._api = api
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self.figures = Figures()

    def round(self) -> None:
        """Run a round and record its problems."""
        sandbox, figures = self._sandbox, self.figures
        sandbox.reset()
        rows = [
            [str(number), (START + timedelta(hours=11 * number)).isoformat(), f"Zeile {number}\n"]
            for number in range(ROWS)
        ]
        sandbox.add_entity("opportunities", FIELDS, rows)
        expected = {("people", str(row["person_id"])) for row in sandbox.rows("people")} | {
            ("opportunities", row[0]) for row in rows
        }
        figures.rounds += 1
        for fault in self._faults():
            sandbox.add_fault(fault)
            figures.faults += 1
        reader_dies = self._random.random() < 0.2
        seen: set[tuple[str, str]] = set()
        state: dict[str, Any] = {}
        delivered: Counter[str] = Counter()
        room = self._random.randrange(40_000) if reader_dies else None
        with tempfile.TemporaryDirectory() as folder:
            config = self._config(folder)
            ended = self._run(config, room, state, seen)
            figures.ends[ended or "ok"] += 1
            sandbox.clear_faults()
            if ended:
                figures.failed_runs += 1
                for _ in range(MAX_CLEAN_RUNS):
                    # What a run delivered that failed for another stream is exported again.
                    marks = state.get("bookmarks", {})
                    delivered.update(name for name in marks if marks[name].get("last_job"))
                    figures.clean_runs += 1
                    ended = self._run(config, None, state, seen)
                    if not ended:
                        break
        self._check(ended, state, expected - seen, delivered)

    def _config(self, folder: str) -> dict[str, Any]:
        sandbox = self._sandbox
        if self._api == "v1":
            return {**CONFIG, "api_url": sandbox.url, "access_token": sandbox.token}
        return {
            **CONFIG,
            "api": self._api,
            "api_url": sandbox.uapi_url,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "max_concurrent_jobs": 1,
            "spool_dir": folder,
        }

    def _run(
        self,
        config: dict[str, Any],
        room: int | None,
        state: dict[str, Any],
        seen: set[tuple[str, str]],
    ) -> str:
        """Run the tap; return the name of the error that ended it, or an empty string."""
        pipe = _Pipe(room)
        ended = ""
        with redirect_stdout(io.TextIOWrapper(pipe, encoding="utf-8")) as out:
            try:
                timed = type("Timed", (ImpatientTap,), {"clock": SandboxTime(self._sandbox)})
                tap = timed(config=config, state=json.loads(json.dumps(state)))
                for name, stream in tap.streams.items():
                    stream.selected = name in ENTITIES
                tap.sync_all()
                out.flush()
            except (DemandbaseError, BrokenPipeError) as error:
                ended = type(error).__name__
            written = pipe.getvalue()
            out.detach()
        for line in written.splitlines():
            message = json.loads(line)
            if message["type"] == "RECORD":
                record = message["record"]
                key = record["person_id"] if message["stream"] == "people" else record["id"]
                seen.add((message["stream"], key))
            elif message["type"] == "STATE":
                state.clear()
                state.update(message["value"])
        return ended

    def _check(
        self,
        ended: str,
        state: dict[str, Any],
        missing: set[tuple[str, str]],
        delivered: Counter[str],
    ) -> None:
        figures = self.figures
        where = f"round {figures.rounds}"
        if ended:
            figures.problems.append(f"{where}: runs without faults end with {ended}")
        if missing:
            figures.problems.append(f"{where}: {len(missing)} records are missing")
        mark = state.get("bookmarks", {}).get("opportunities", {}).get("replication_key_value")
        if mark != "2026-01-28T07:00:00.000000Z":
            figures.problems.append(f"{where}: the bookmark ends at {mark}")
        exports = Counter(
            (
                job["entity_type"],
                job.get("jobName") or json.dumps([job["fields"], job["filters"]]),
            )
            for job in self._sandbox.export_jobs()
            if job["status"] not in {"failed", "cancelled"}
        )
        figures.jobs += sum(exports.values())
        twice = [request for request, count in exports.items() if count > 1 + delivered[request[0]]]
        if twice:
            figures.problems.append(f"{where}: exported twice: {twice}")

    def _faults(self) -> list[Fault]:
        return [self._fault() for _ in range(self._random.randint(1, 4))]

    def _fault(self) -> Fault:
        draw = self._random
        operation, effect, options = draw.choice(_FAULTS)
        if self._api != "v1":
            if options is _GONE:
                # The job itself has the links; a job that is gone may be exported again.
                options = {"status": [500, 503]}
            operation = UAPI_NAMES.get(operation, operation)
        chosen = {
            name: draw.choice(value) if isinstance(value, list) else value
            for name, value in options.items()
        }
        return Fault(
            operation, effect, after=draw.randint(0, 6), times=draw.choice([1, 2, 5]), **chosen
        )


_API = ("createExportJob", "listExportJobs", "getExportJob", "downloadExportFile")
_GONE: dict[str, Any] = {"status": [404, 410]}
_FAULTS: list[tuple[str, Effect, dict[str, Any]]] = [
    *((name, Effect.DROP_BEFORE, {}) for name in (*_API, "signedFile")),
    *((name, Effect.DROP_AFTER, {}) for name in _API),
    *((name, Effect.STALL, {"bytes": [0, 20, 300]}) for name in (*_API, "signedFile")),
    *((name, Effect.STATUS, {"status": [500, 502, 503]}) for name in (*_API, "signedFile")),
    *((name, Effect.INVALID_JSON, {}) for name in _API[:3]),
    ("createExportJob", Effect.STATUS, {"status": 429}),
    ("cancelExportJob", Effect.STATUS, {"status": 500}),
    ("createExportJob", Effect.JOB_FAILS, {"message": "no luck"}),
    ("createExportJob", Effect.JOB_GONE, {"seconds": [0.5, 3, 6]}),
    ("listExportJobs", Effect.SHIFT_PAGE, {"rows": [1, 3]}),
    ("downloadExportFile", Effect.STATUS, _GONE),
    ("downloadExportFile", Effect.EXPIRED_LINK, {}),
    ("signedFile", Effect.STATUS, {"status": [403, 404, 410]}),
    ("signedFile", Effect.CUT, {"bytes": [0, 1, 200, 900], "how": ["", "chunked", "close"]}),
    ("signedFile", Effect.NO_RANGE, {}),
    ("signedFile", Effect.CHANGED, {"how": ["", "etag"]}),
]


def soak(rounds: int, seed: int, api: str = "v1") -> Figures:
    """Run rounds and return their figures."""
    options = SandboxOptions(
        rows={"accounts": 5, "people": 30, "opportunities": 5, "activities": 5, "campaigns": 3,
              "buying_groups": 3},
        part_rows=12, pending_seconds=1, processing_seconds=4, seed=seed,
    )  # fmt: skip
    with Sandbox(options) as sandbox:
        runner = Soak(sandbox, seed, api)
        for _ in range(rounds):
            runner.round()
    return runner.figures


def main() -> int:
    """Run a soak from the command line and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--api", choices=["v1", "uapi"], default="v1")
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
