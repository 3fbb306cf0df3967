"""Runs the tap repeatedly with random faults, and checks what it must never do.

After each round:

- every record has arrived, and the bookmark is that of a run without faults;
- the tenant has at most one job of this tap for each request, failed and cancelled ones aside, and
  those that the state of a run that failed later names as delivered. One more is allowed for each
  creation whose response was lost while the list of jobs did not show the new job or could not be
  read: no client can find such a job; and one for each foreign job that was taken for the lost one
  and given up. A job that the journal names as given up may have been replaced, if the faults made
  its file or the job itself unavailable;
- each run has cancelled only jobs that it created, and none of another client.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import random
import sys
import tempfile
import traceback
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
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
    "job_timeout_seconds": 1800,
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
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._number = 0
        self._conditions: list[Fault] = []
        self._faults_of_round: list[Fault] = []
        self.figures = Figures()

    def round(self, number: int) -> None:
        """Run a round and record its problems."""
        sandbox, figures = self._sandbox, self.figures
        self._number = number
        self._random.seed(f"{self._seed}/{number}")
        sandbox.reset()
        rows = [
            [str(number), (START + timedelta(hours=11 * number)).isoformat(), f"Zeile {number}\n"]
            for number in range(ROWS)
        ]
        people = sandbox.rows("people")
        expected = {("people", str(row["person_id"])) for row in people} | {
            ("opportunities", row[0]) for row in rows
        }
        figures.rounds += 1
        reader_dies = self._random.random() < 0.2
        seen: set[tuple[str, str]] = set()
        state: dict[str, Any] = {}
        delivered: set[str] = set()
        room = self._random.randrange(40_000) if reader_dies else None
        with tempfile.TemporaryDirectory() as folder:
            config = self._config(folder)
            # Before all runs: a clock that is set back makes earlier jobs seem new.
            sandbox.clock.skew(self._random.choice([0, 0, -7200, 7200]))
            if self._random.random() < 0.3:
                # An earlier full export, of fewer rows, which today's run must not deliver.
                sandbox.put_rows("people", people[:-1])
                sandbox.add_entity("opportunities", FIELDS, rows[:-1])
                self._run(config, None, {}, set())
                sandbox.put_rows("people", people)
                sandbox.clock.advance(self._random.choice([2, 20, 72]) * 3600)
            sandbox.add_entity("opportunities", FIELDS, rows)
            earlier = {job["id"] for job in sandbox.export_jobs()}
            self._make_odd()
            faults = self._faults()
            if earlier and self._random.random() < 0.5:
                faults.insert(0, self._running_job())
            self._faults_of_round = faults
            self._set_faults(faults)
            figures.faults += len(faults)
            ended = self._run(config, room, state, seen)
            figures.ends[ended or "ok"] += 1
            self._set_faults([])
            if ended:
                figures.failed_runs += 1
                for _ in range(MAX_CLEAN_RUNS):
                    # What a run delivered that failed for another stream is exported again.
                    delivered |= _delivered(state)
                    figures.clean_runs += 1
                    ended = self._run(config, None, state, seen)
                    if not ended:
                        break
            given_up = _given_up(Path(folder))
        self._check(ended, state, expected - seen)
        self._check_jobs(earlier, delivered, given_up)

    def _make_odd(self) -> None:
        """Give the server some oddities that last for all runs of a round."""
        draw = self._random
        odd = [
            Fault("*" if operation == "*" else self._name(operation), effect, times=None, **options)
            for operation, effect, options in draw.sample(_ODDITIES, draw.choice([0, 0, 1, 2]))
        ]
        self._conditions = odd

    def _set_faults(self, faults: list[Fault]) -> None:
        self._sandbox.clear_faults()
        for fault in [*faults, *self._conditions]:
            self._sandbox.add_fault(fault)

    def _name(self, operation: str) -> str:
        return operation if self._api == "v1" else UAPI_NAMES.get(operation, operation)

    def _config(self, folder: str) -> dict[str, Any]:
        sandbox = self._sandbox
        common = {**CONFIG, "spool_dir": folder}
        if self._api == "v1":
            return {**common, "api_url": sandbox.url, "access_token": sandbox.token}
        return {
            **common,
            "api": self._api,
            "api_url": sandbox.uapi_url,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "max_concurrent_jobs": 1,
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
        before = {job["id"] for job in self._sandbox.export_jobs() if job["status"] != "cancelled"}
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
            except Exception as error:  # noqa: BLE001 - a bug: go on, for the rounds after it
                ended = type(error).__name__
                place = traceback.extract_tb(error.__traceback__)[-1]
                self._problem(f"{error!r} in {place.filename}:{place.lineno}")
            written = pipe.getvalue()
            out.detach()
        if any(
            job["id"] in before and job["status"] == "cancelled"
            for job in self._sandbox.export_jobs()
        ):
            self._problem("a run cancelled a job that it did not create")
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

    def _check(self, ended: str, state: dict[str, Any], missing: set[tuple[str, str]]) -> None:
        if ended:
            self._problem(f"runs without faults end with {ended}")
        if missing:
            self._problem(f"{len(missing)} records are missing")
        mark = state.get("bookmarks", {}).get("opportunities", {}).get("replication_key_value")
        if mark != "2026-01-28T07:00:00.000000Z":
            self._problem(f"the bookmark ends at {mark}")

    def _problem(self, text: str) -> None:
        faults = [described(fault) for fault in (*self._conditions, *self._faults_of_round)]
        self.figures.problems.append(f"round {self._number}: {text}; faults: {'; '.join(faults)}")

    def _check_jobs(self, earlier: set[str], delivered: set[str], given_up: set[str]) -> None:
        """Check that nothing was bought twice and that the jobs of others were left alone."""
        sandbox = self._sandbox
        foreign = {job["id"]: job["status"] for job in sandbox.foreign_jobs()}
        if "cancelled" in foreign.values() or any(
            job_id in request.path
            for request in sandbox.requests("cancelExportJob")
            for job_id in foreign
        ):
            self._problem("a job of another client was cancelled")
        faults = [*self._faults_of_round, *self._conditions]
        jobs = [
            job
            for job in sandbox.export_jobs()
            if job["status"] not in _ENDED_EARLY and job["id"] not in earlier | set(foreign)
        ]
        self.figures.jobs += len(jobs)
        replaced = {job["id"] for job in jobs} & given_up
        if replaced and not self._may_give_up(faults):
            self._problem(f"{len(replaced)} jobs were given up that were of use")
        left = Counter(
            (job["entity_type"], _request(job))
            for job in jobs
            if job["id"] not in delivered | replaced
        )
        twice = {request: count - 1 for request, count in left.items() if count > 1}
        # Over v1, nothing but the time tells an own job whose creation was lost from a foreign one.
        mistaken = min(len(given_up & set(foreign)), self._lost(faults))
        if sum(twice.values()) > self._unfindable(faults) + mistaken:
            self._problem(f"exported twice: {[entity for entity, _ in twice]}")

    def _unfindable(self, faults: list[Fault]) -> int:
        """Return how many jobs the tap may have created and not have found in the list."""
        lists = {self._name("listExportJobs"), "*"}
        if not any(fault.operation in lists and fault.effect in _HIDING for fault in faults):
            return 0
        return self._lost(faults)

    def _lost(self, faults: list[Fault]) -> int:
        """Return how many creations of the tap may have lost their responses."""
        return sum(
            fault.times or 0
            for fault in faults
            if fault.operation == "createExportJob" and fault.effect in _LOSING
        )

    def _may_give_up(self, faults: list[Fault]) -> bool:
        """Return whether jobs that completed may be of no use."""
        files = {"signedFile", self._name("downloadExportFile"), self._name("getExportJob")}
        return _looks_whole_when_cut(faults) or any(
            fault.effect is Effect.JOB_GONE
            or (fault.operation in files and fault.effect in {Effect.STATUS, Effect.EXPIRED_LINK})
            for fault in faults
        )

    def _faults(self) -> list[Fault]:
        return [self._fault() for _ in range(self._random.randint(1, 4))]

    def _running_job(self) -> Fault:
        """Return a job of another client that the run may adopt, as it reads the list first."""
        # Over uapi, a job that never ends would take the only slot for ever.
        how = "running" if self._api == "v1" else ""
        return Fault(self._name("listExportJobs"), Effect.FOREIGN_JOB, how=how)

    def _fault(self) -> Fault:
        draw = self._random
        operation, effect, options = draw.choice(_FAULTS)
        if self._api != "v1":
            if options is _GONE:
                # The job itself has the links; a job that is gone may be exported again.
                options = {"status": [500, 503]}
            if effect is Effect.FOREIGN_JOB:
                # A job that never ends would take the only slot for ever.
                options = {**options, "how": ""}
            operation = self._name(operation)
        chosen = {
            name: draw.choice(value) if isinstance(value, list) else value
            for name, value in options.items()
        }
        # No count tells an empty file of uapi from an empty export.
        is_empty = operation == "signedFile" and chosen.get("status") == HTTPStatus.OK
        times = 1 if is_empty else draw.choice([1, 2, 5])
        return Fault(operation, effect, after=draw.randint(0, 6), times=times, **chosen)


_API = ("createExportJob", "listExportJobs", "getExportJob", "downloadExportFile")
_GONE: dict[str, Any] = {"status": [404, 410]}
_ODD_WAITS = [{"Retry-After": text} for text in ("1", "soon", "²", "-5", "9" * 500)]
_UNKNOWN_STATUS = {"status": "queued", "jobStatus": "queued"}
_FOREIGN: dict[str, Any] = {
    "seconds": [0, 1, 60, 25_200, 72_000],
    "how": ["", "", "running"],
    "members": [
        {}, {}, {}, {"status": "expired", "jobStatus": "expired"},
        {"entity_type": "accounts", "entityType": "Account", "jobName": "a report"},
        {"created_at": "", "createdAt": ""}, {"record_count": "12", "fields": 1},
    ],
}  # fmt: skip
_ENDED_EARLY = frozenset({"failed", "cancelled"})
_HIDING = frozenset({
    Effect.STATUS, Effect.DROP_BEFORE, Effect.DROP_AFTER, Effect.STALL, Effect.INVALID_JSON,
    Effect.LAG, Effect.SHIFT_PAGE,
})  # fmt: skip
"""Faults of the list because of which it does not show a job."""
_LOSING = frozenset({Effect.DROP_AFTER, Effect.STALL, Effect.INVALID_JSON})
_ODDITIES: list[tuple[str, Effect, dict[str, Any]]] = [
    ("*", Effect.HEADERS, {"headers": {"Date": ""}}),
    ("*", Effect.LOCAL_TIMES, {"seconds": 7200}),
    ("*", Effect.LOCAL_TIMES, {"seconds": -7200}),
    ("listExportJobs", Effect.OLDEST_FIRST, {}),
    ("listExportJobs", Effect.LAG, {"seconds": 5}),
    ("listExportJobs", Effect.ALTER, {"members": {"total": None, "totalCount": None}}),
    ("signedFile", Effect.HEADERS, {"headers": {"ETag": ""}}),
    ("signedFile", Effect.HEADERS, {"headers": {"ETag": "", "Content-Length": ""}}),
]
_FAULTS: list[tuple[str, Effect, dict[str, Any]]] = [
    *((name, Effect.DROP_BEFORE, {}) for name in (*_API, "signedFile")),
    *((name, Effect.DROP_AFTER, {}) for name in _API),
    *((name, Effect.STALL, {"bytes": [0, 20, 300]}) for name in (*_API, "signedFile")),
    *((name, Effect.STATUS, {"status": [500, 502, 503]}) for name in (*_API, "signedFile")),
    *((name, Effect.STATUS, {"status": [503], "headers": _ODD_WAITS}) for name in _API),
    *((name, Effect.DRIP, {"bytes": 300, "seconds": 0.005}) for name in (*_API, "signedFile")),
    *((name, Effect.FOREIGN_JOB, _FOREIGN) for name in (*_API[:2], *_API[:2])),
    ("getExportJob", Effect.STATUS, {"status": [404, 408, 425]}),
    ("listExportJobs", Effect.STATUS, {"status": [408, 425]}),
    ("listExportJobs", Effect.LAG, {"seconds": [1, 5, 20]}),
    ("listExportJobs", Effect.ALTER, {"items": {}, "members": _UNKNOWN_STATUS}),
    ("listExportJobs", Effect.ALTER, {"members": {"total": None, "totalCount": None}}),
    ("createExportJob", Effect.ALTER, {"members": {"created_at": None, "createdAt": None}}),
    ("createExportJob", Effect.MANGLE_CSV, {"how": "blank_lines"}),
    ("signedFile", Effect.STATUS, {"status": [200, 202, 204, 300, 302, 304]}),
    ("signedFile", Effect.HEADERS, {"headers": [{"ETag": ""}, {"Content-Length": ""}]}),
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


def _delivered(state: dict[str, Any]) -> set[str]:
    """Return the ids of the jobs that a state names as delivered."""
    marks = state.get("bookmarks", {}).values()
    last = [mark["last_job"] for mark in marks if mark.get("last_job")]
    return {job_id for job in last for job_id in (job["id"], *job.get("ids", ()))}


def _given_up(folder: Path) -> set[str]:
    """Return the ids of the jobs that the journal in a folder names as given up."""
    entries = [json.loads(path.read_bytes()) for path in folder.rglob("*.job.json")]
    return {job_id for entry in entries for job_id in entry["unusable"]}


def _request(job: dict[str, Any]) -> str:
    """Return what a job's request asks for."""
    if "request" in job:
        asked = {name: value for name, value in job["request"].items() if name != "jobName"}
        return json.dumps([job["entity_type"], asked], sort_keys=True)
    return json.dumps([job["entity_type"], job["fields"], job["filters"]], sort_keys=True)


def _looks_whole_when_cut(faults: list[Fault]) -> bool:
    """Return whether a file may be cut so that no client can tell.

    Its end is not announced, and what follows cannot be requested: two downloads give the same.
    """
    removed = {
        name
        for fault in faults
        if fault.effect is Effect.HEADERS and fault.operation in {"signedFile", "*"}
        for name, value in fault.headers.items()
        if not value
    }
    cannot_resume = "ETag" in removed or any(fault.effect is Effect.NO_RANGE for fault in faults)
    unframed = {"close"} | ({"", "content_length"} if "Content-Length" in removed else set())
    cuts = sum(
        fault.times or 0 for fault in faults if fault.effect is Effect.CUT and fault.how in unframed
    )
    return cannot_resume and cuts > 1


def described(fault: Fault) -> str:
    """Return a fault without the members that have their defaults."""
    plain = Fault("*", Effect.DROP_BEFORE)
    told = [
        f"{name} {str(value)[:60]}"
        for name, value in vars(fault).items()
        if name not in {"operation", "effect"} and value != getattr(plain, name)
    ]
    return " ".join([fault.operation, fault.effect, *told])


def soak(rounds: int, seed: int, api: str = "v1", first: int = 1) -> Figures:
    """Run rounds, which are numbered from ``first``, and return their figures."""
    options = SandboxOptions(
        rows={"accounts": 5, "people": 30, "opportunities": 5, "activities": 5, "campaigns": 3,
              "buying_groups": 3},
        part_rows=12, pending_seconds=1, processing_seconds=4, seed=seed,
    )  # fmt: skip
    with Sandbox(options) as sandbox:
        runner = Soak(sandbox, seed, api)
        for number in range(first, first + rounds):
            runner.round(number)
    return runner.figures


def main() -> int:
    """Run a soak from the command line and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--first", type=int, default=1, help="number of the first round")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--api", choices=["v1", "uapi"], default="v1")
    parser.add_argument("--log", action="store_true", help="write the log of the tap")
    arguments = parser.parse_args()
    if arguments.log:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    else:
        logging.disable()
    figures = soak(arguments.rounds, arguments.seed, arguments.api, arguments.first)
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
