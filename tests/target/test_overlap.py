"""Jobs that take their time: side by side as far as they may, in order, and given up in the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions
from target_demandbase.errors import (
    StillRunningError,
)
from tests.target.conftest import Load, record, schema, state


@pytest.fixture(scope="module")
def slow_sandbox() -> Iterator[Sandbox]:
    """A tenant whose jobs take half an hour, of a time that only sleepers skip."""
    options = SandboxOptions(pending_seconds=60, processing_seconds=1740)
    with Sandbox(options) as sandbox:
        yield sandbox


class TestSlow:
    """What needs jobs that take their time."""

    @pytest.fixture
    def sandbox(self, slow_sandbox: Sandbox) -> Sandbox:
        slow_sandbox.reset()
        return slow_sandbox

    @pytest.mark.parametrize(("jobs", "hours"), [(1, 2.0), (2, 1.0), (4, 0.5)])
    def test_jobs_of_one_stream_overlap_as_far_as_they_may(
        self, sandbox: Sandbox, load: Load, jobs: int, hours: float
    ) -> None:
        started = sandbox.clock.now()
        rows = [record(domain=f"d{n}.example") for n in range(8)]
        done = load(schema(), *rows, state(1), batch_size_rows=2, max_concurrent_jobs=jobs)
        assert done.states == [1]
        took = (sandbox.clock.now() - started).total_seconds() / 3600
        assert hours <= took < hours * 1.2

    def test_the_same_key_waits_for_its_turn(self, sandbox: Sandbox, load: Load) -> None:
        rows = [record(domain="a.example", name=str(n)) for n in range(3)]
        load(schema(), *rows, batch_size_rows=1, max_concurrent_jobs=3)
        jobs = sorted(sandbox.import_jobs(), key=lambda job: job["created_at"])
        for job, following in pairwise(jobs):
            assert job["completed_at"] <= following["created_at"]

    def test_a_stream_waits_for_the_one_before(self, sandbox: Sandbox, load: Load) -> None:
        people = {"email": {"type": "string"}}
        load(
            schema(), record(domain="a.example"),
            schema(people, "people", "email"), record("people", email="a@a.example"),
            max_concurrent_jobs=3,
        )  # fmt: skip
        jobs = sorted(sandbox.import_jobs(), key=lambda job: job["created_at"])
        assert [job["entity_type"] for job in jobs] == ["accounts", "people"]
        assert jobs[0]["completed_at"] <= jobs[1]["created_at"]

    def test_a_time_out_leaves_the_job_and_ends_as_one_that_may_work_later(
        self, sandbox: Sandbox, load: Load
    ) -> None:
        messages = (schema(), record(domain="a.example"), state(1))
        with pytest.raises(StillRunningError) as caught:
            load(*messages, job_timeout_seconds=100)
        [job] = sandbox.import_jobs()
        assert job["id"] in str(caught.value)
        assert caught.value.exit_code == 75
        assert job["status"] == "processing"
        assert load(*messages).states == [1]
        assert len(sandbox.import_jobs()) == 1
