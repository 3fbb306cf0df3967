"""Jobs that take their time: concurrent as far as allowed, in order, and timed out in the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions
from target_demandbase.errors import StillRunningError
from tests.target.conftest import Load, deal, deals, people, person, state
from tests.target.people_files import MESSAGES, spans

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def slow_sandbox() -> Iterator[Sandbox]:
    """A tenant whose jobs take half an hour, of a time that only sleepers skip."""
    options = SandboxOptions(pending_seconds=60, processing_seconds=1740)
    with Sandbox(options) as sandbox:
        yield sandbox


@pytest.mark.slow
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
        rows = [person(n) for n in range(8)]
        done = load(people(), *rows, state(1), batch_size_rows=2, max_concurrent_jobs=jobs)
        assert done.states == [1]
        took = (sandbox.clock.now() - started).total_seconds() / 3600
        assert hours <= took < hours * 1.2

    def test_the_same_key_waits_for_its_turn(self, sandbox: Sandbox, load: Load) -> None:
        rows = [person(1, title=str(n)) for n in range(3)]
        load(people(), *rows, batch_size_rows=1, max_concurrent_jobs=3)
        for (_, ended), (began, _) in pairwise(spans(sandbox)):
            assert ended <= began

    def test_a_stream_waits_for_the_one_before(self, sandbox: Sandbox, load: Load) -> None:
        load(
            people(), person(1), deals(), deal(sandbox, 1),
            max_concurrent_jobs=3, unknown_fields="drop",
        )  # fmt: skip
        assert [job["entity_type"] for job in reversed(sandbox.import_jobs())] == [
            "people",
            "opportunities",
        ]
        (_, ended), (began, _) = spans(sandbox)
        assert ended <= began

    def test_a_time_out_leaves_the_job_and_ends_as_one_that_may_work_later(
        self, sandbox: Sandbox, load: Load
    ) -> None:
        with pytest.raises(StillRunningError, match="the next run resumes that job") as caught:
            load(*MESSAGES, job_timeout_seconds=100)
        [job] = sandbox.import_jobs()
        assert job["id"] in str(caught.value)
        assert caught.value.exit_code == 75
        assert job["status"] == "processing"
        assert load(*MESSAGES).states == [1]
        assert len(sandbox.import_jobs()) == 1
