from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.errors import StreamsFailedError
from tap_demandbase.tap import TapDemandbase
from tests.sandbox_time import SandboxTime


class QuickTap(TapDemandbase):
    """The tap with short waits between tries."""

    retry = RetryPolicy(tries=6, base_seconds=0.001, max_seconds=0.01)


@dataclass(frozen=True)
class Output:
    messages: list[dict[str, Any]]
    error: BaseException | None = None
    """The expected error of the run."""

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1]

    @property
    def states(self) -> list[dict[str, Any]]:
        return [m["value"]["bookmarks"] for m in self.messages if m["type"] == "STATE"]


Sync = Callable[..., Output]

ForeignJob = Callable[..., str]


@contextmanager
def only_failure() -> Iterator[None]:
    """Raise the error of the only stream that failed instead of the error of the run."""
    try:
        yield
    except StreamsFailedError as error:
        if len(error.failures) == 1 and error.ended_by is None:
            [only] = error.failures.values()
            raise only from None
        raise


both_apis = pytest.mark.parametrize("api", ["v1", "uapi"])
"""For tests of behaviour that is the same with both APIs."""

# uapi requires these options to export all streams.
UAPI_OPTIONS = {
    "campaigns": {"ad_report_type": "summary"},
    "creatives": {"ad_report_type": "performance"},
}


@pytest.fixture
def api() -> str:
    return "v1"


@pytest.fixture
def config(sandbox: Sandbox, api: str, tmp_path: Path) -> dict[str, Any]:
    if api == "v1":
        return {"api_url": sandbox.url, "access_token": sandbox.token}
    return {
        "api": api,
        "api_url": sandbox.uapi_url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "spool_dir": str(tmp_path / "spool"),
        "stream_options": UAPI_OPTIONS,
    }


@dataclass(frozen=True)
class Wire:
    """Names of the operations of the API in use."""

    create: str
    list_jobs: str
    get: str
    discover: str
    download: str

    @property
    def is_v1(self) -> bool:
        return self.get == "getExportJob"


@pytest.fixture
def wire(api: str) -> Wire:
    if api == "v1":
        return Wire(
            "createExportJob",
            "listExportJobs",
            "getExportJob",
            "listExportableEntities",
            "downloadExportFile",
        )
    status = "checkExportJobStatus"
    return Wire("createExportJob", "fetchExportJobsInfo", status, "fetchFields", status)


@pytest.fixture
def sync(sandbox: Sandbox, config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Sync:
    """Runs the tap over some streams; all their fields, or the given ones.

    ``failure`` is the error that the run has to end with. Jobs are reused only if
    ``job_reuse_hours`` is set.
    """

    def run(
        *streams: str,
        fields: list[str] | None = None,
        state: dict[str, Any] | None = None,
        failure: type[BaseException] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> Output:
        settings = {"job_reuse_hours": 0, **settings}
        timed = type("TimedTap", (QuickTap,), {"clock": SandboxTime(sandbox)})
        catalog = timed(config={**config, **settings}).catalog_dict
        for entry in catalog["streams"]:
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in streams
                elif fields is not None:
                    item["metadata"]["selected"] = item["breadcrumb"][1] in fields
        tap = timed(config={**config, **settings}, catalog=catalog, state=state)
        capsys.readouterr()
        each = nullcontext() if failure is StreamsFailedError else only_failure()
        with pytest.raises(failure) if failure else nullcontext() as caught, each:
            tap.sync_all()
        lines = capsys.readouterr().out.splitlines()
        error = None if caught is None else caught.value
        return Output([json.loads(line) for line in lines], error)

    return run


@pytest.fixture
def foreign_job(sandbox: Sandbox, api: str) -> ForeignJob:
    """Creates the job of another client and returns its id; takes the arguments of a fault.

    ``how="running"`` never ends, ``seconds`` is its age, ``members`` and ``nulls`` replace what
    responses say of it. To be called before the test adds faults of creations. A job of the same
    request as the tap's is a fault of the tap's own creation: ``Effect.FOREIGN_JOB``.
    """
    paths = {"v1": "/export/v1/jobs", "uapi": "/data/export/v1/job"}
    bodies = {
        "v1": {"entity_type": "campaigns", "fields": ["name"]},
        "uapi": {"entityType": "account", "jobName": "a report", "fields": ["{Account}.name"]},
    }

    def create(**options: Any) -> str:  # noqa: ANN401
        known = {job["id"] for job in sandbox.foreign_jobs()}
        sandbox.add_fault(Fault("createExportJob", Effect.FOREIGN_JOB, **options))
        sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=503))
        url = sandbox.url if api == "v1" else sandbox.uapi_url
        headers = {"Authorization": f"Bearer {sandbox.token}"}
        requests.post(url + paths[api], json=bodies[api], headers=headers, timeout=10)
        sandbox.clear_requests()
        (job_id,) = {job["id"] for job in sandbox.foreign_jobs()} - known
        return str(job_id)

    return create
