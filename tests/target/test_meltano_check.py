"""``meltano config target-demandbase test``, which sends a stream of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import AuthenticationError
from demandbase_sandbox import Sandbox
from tests.command_process import run_command
from tests.target.conftest import Load, people, person, record, schema, state

STREAM = "meltano_test_stream"
TEXT = {"type": "string"}
MESSAGES = [
    schema({"id": {"type": "integer"}, "name": TEXT, "created_at": TEXT}, STREAM, "id"),
    record(STREAM, id=1, name="Meltano Test Record", created_at="2025-09-29T00:00:00Z"),
    state({"bookmarks": {STREAM: {"last_record": 1}}}),
]


def test_the_test_stream_is_a_check_that_sends_nothing(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config, "spool_dir": str(tmp_path)}), encoding="utf-8")
    text = "".join(f"{json.dumps(message)}\n" for message in MESSAGES)
    done = run_command("target-demandbase", "--config", str(path), text=text)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Nothing was sent" in done.stderr
    # Meltano takes any line with one of these words for a failure.
    assert "error" not in done.stderr.lower()
    assert "exception" not in done.stderr.lower()
    assert sandbox.requests("listImportJobs")
    assert sandbox.import_jobs() == []
    assert not list(tmp_path.glob("rejects/report-*"))


def test_wrong_credentials_fail_the_check(config: dict[str, Any], load: Load, api: str) -> None:
    config["access_token" if api == "v1" else "client_secret"] = "wrong"
    load(*MESSAGES, failure=AuthenticationError)


def test_another_stream_is_loaded_all_the_same(sandbox: Sandbox, load: Load) -> None:
    result = load(*MESSAGES[:2], people(), person(1), state("last"))
    assert result.state == "last"
    assert len(sandbox.import_jobs()) == 1
    assert result.report["streams"]["people"]["records_read"] == 1


@pytest.mark.v1_only("uapi needs labels")
def test_a_stream_that_the_user_has_mapped_is_no_test(sandbox: Sandbox, load: Load) -> None:
    load(
        schema(stream=STREAM), record(STREAM, domain="a.example"), state("last"),
        entity_map={STREAM: "accounts"}, match_keys={"accounts": "domain"},
    )  # fmt: skip
    assert len(sandbox.import_jobs()) == 1
