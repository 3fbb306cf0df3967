"""The target as it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demandbase_sandbox import Sandbox
from tests.target.command import running
from tests.target.conftest import record, schema, state

pytestmark = pytest.mark.thorough

TARGET = str(Path(sys.executable).with_name("target-demandbase"))


def test_the_command_reads_its_input_and_writes_the_state(sandbox: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {"api_url": sandbox.url, "access_token": sandbox.token, "spool_dir": str(tmp_path)}
        )
    )
    messages = (schema(), record(domain="a.example"), state({"a": 1}))
    done = subprocess.run(
        [TARGET, "--config", str(config)],
        input="".join(json.dumps(message) + "\n" for message in messages),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, '{"a": 1}\n')
    [job] = sandbox.import_jobs()
    assert job["success_count"] == 1


def test_no_name_of_a_stream_controls_the_terminal(sandbox: Sandbox, tmp_path: Path) -> None:
    stream = "a\x1b[31m\u202e\nb"
    with running(sandbox, tmp_path) as run:
        run.feed(schema(stream=stream), record(stream, domain="a.example"))
        assert run.process.wait() == 1
        assert all(line.isprintable() for line in run.errors.splitlines())
        assert "a\\x1b[31m\\u202e b has no entity" in run.errors
