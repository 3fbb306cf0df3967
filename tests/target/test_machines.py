"""Two machines that share nothing but a bucket: a run goes on where one on the other was killed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from tests.command_process import run_command
from tests.s3_server import BUCKET, CREDENTIALS, s3_server
from tests.soak_machines import KINDS, soak_machines
from tests.target.command import killed_at, running
from tests.target.conftest import landed
from tests.target.people_files import LIST, MESSAGES, UPLOAD, ended

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a bucket that the commands can use."""
    with s3_server() as address:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        yield f"s3://{BUCKET}/runs"


@pytest.mark.parametrize("operation", [UPLOAD, LIST])
def test_a_run_that_was_killed_is_resumed_on_another_machine(
    sandbox: Sandbox, config: dict[str, Any], bucket: str, tmp_path: Path, operation: str
) -> None:
    settings = {**config, "state_dir": bucket}
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    with killed_at(sandbox, operation, one, MESSAGES, **settings) as run:
        assert run.states == []
    (other / "state.json").write_text(json.dumps(settings), encoding="utf-8")
    begun = run_command("demandbase", "journal", "--config", str(other / "state.json"), "--json")
    assert json.loads(begun.stdout)["imports"] == []  # it may still run
    with running(sandbox, other, **settings) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(120) == 0, run.errors
        assert run.states == [1]
        assert "Waiting for another run that imports into people" in run.errors
        assert "Resuming the import job" in run.errors
    assert ended(sandbox) == ["completed"]
    assert len(sandbox.requests(UPLOAD)) == len(sandbox.import_jobs()) == 1
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}
    assert not list((one / "spool").rglob("*.json"))
    done = run_command("demandbase", "journal", "--config", str(other / "state.json"), "--json")
    assert json.loads(done.stdout) == {"exports": [], "imports": []}


@pytest.mark.parametrize("problem", ["no such bucket", "cannot be reached"])
def test_a_bucket_that_cannot_be_used_ends_the_run_before_anything_is_sent(
    sandbox: Sandbox,
    config: dict[str, Any],
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
) -> None:
    if problem == "cannot be reached":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    url = bucket.replace(BUCKET, "no-such-bucket")
    with running(sandbox, tmp_path, **config, state_dir=url) as run:
        run.feed(*MESSAGES)
        assert run.process.wait(60) == 1
        assert run.errors.strip().splitlines()[-1].count(problem) == 1
        assert "Traceback" not in run.errors
    assert not sandbox.import_jobs()


@pytest.fixture
def silent() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("runs_over", ["v1", "uapi"])
def test_runs_that_are_killed_on_one_machine_lose_and_double_nothing(runs_over: str) -> None:
    figures = soak_machines(12, seed=20261130, api=runs_over)
    assert figures.problems == []
    assert figures.ends["killed"] > 3
    assert set(figures.kinds) == set(KINDS[runs_over])
