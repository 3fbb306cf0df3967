"""Death, signals, lost replies and slow jobs: the same whichever API is in use."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import StillRunningError
from tests.target.command import killed_at, running, until
from tests.target.conftest import (
    Load,
    both_apis,
    landed,
)
from tests.target.people_files import CREATE, LIST, MESSAGES, UPLOAD, ended

pytestmark = both_apis


@pytest.mark.parametrize("operation", [CREATE, UPLOAD, LIST])
def test_a_run_that_was_killed_is_taken_up_by_the_next(
    sandbox: Sandbox, config: dict[str, Any], api: str, tmp_path: Path, operation: str
) -> None:
    with killed_at(sandbox, operation, tmp_path, MESSAGES, **config) as run:
        assert run.states == []
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
    assert ended(sandbox) == ["completed"]
    assert len(sandbox.requests(UPLOAD)) == 1
    # Only where a job bears a name can one be found whose creation was never answered.
    is_stray = api == "v1" and operation == CREATE
    assert len(sandbox.import_jobs()) == (2 if is_stray else 1)
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}
    assert not list((tmp_path / "spool" / "target-demandbase-ledger").glob("*"))


@pytest.mark.parametrize("operation", [CREATE, UPLOAD])
@pytest.mark.parametrize("effect", [Effect.DROP_AFTER, Effect.DROP_BEFORE, Effect.STATUS])
def test_a_lost_reply_repeats_nothing_that_was_done(
    sandbox: Sandbox, load: Load, api: str, operation: str, effect: Effect
) -> None:
    sandbox.add_fault(Fault(operation, effect, status=502))
    assert load(*MESSAGES).states == [1]
    assert ended(sandbox) == ["completed"]
    was_done = effect is Effect.DROP_AFTER and (operation == UPLOAD or api == "uapi")
    assert len(sandbox.requests(operation)) == (1 if was_done else 2)
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_staging_sends_nothing_and_keeps_the_rows(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path, number: int, code: int
) -> None:
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.staged_files)
        run.process.send_signal(number)
        assert run.process.wait(10) == code
        assert run.states == []
        assert "Traceback" not in run.errors
        [kept] = (tmp_path / "spool").glob("undelivered-*/people.jsonl")
        messages = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        assert messages == list(MESSAGES[: len(messages)])
        assert "n3@a.example" not in run.errors
    assert not sandbox.import_jobs()


def test_a_signal_while_a_job_runs_lets_no_state_out_and_the_next_run_goes_on(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STALL, seconds=60, after=0))
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES)
        until(lambda: sandbox.requests(LIST))
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(15) == 143
        assert run.states == []
        assert "Stopped by SIGTERM" in run.errors
    sandbox.clear_faults()
    with running(sandbox, tmp_path, **config) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(30) == 0, run.errors
        assert run.states == [1]
    assert len(sandbox.requests(UPLOAD)) == 1


def test_a_job_that_takes_too_long_is_taken_up_by_the_next_run(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    with pytest.raises(StillRunningError) as caught:
        load(*MESSAGES, job_timeout_seconds=60)
    assert caught.value.exit_code == 75
    with pytest.raises(StillRunningError, match="the next run takes that job up"):
        load(*MESSAGES, job_timeout_seconds=60)
    assert len(sandbox.import_jobs()) == 1


def test_a_silent_input_keeps_no_state_back(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    with running(sandbox, tmp_path, batch_size_rows=4, **config) as run:
        run.feed(*MESSAGES, end=False)
        until(lambda: run.states == [1])
        assert run.process.poll() is None


def test_what_came_to_its_end_is_not_taken_up_again(sandbox: Sandbox, load: Load) -> None:
    assert load(*MESSAGES).states == [1]
    assert load(*MESSAGES).states == [1]
    assert len(sandbox.import_jobs()) == 2
