"""Records in blocks, compared with single records: all messages of a run but the time."""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from singer_sdk import Stream
from singer_sdk.io_base import SingerWriter

from demandbase_api.process import PIPE_BYTES
from demandbase_sandbox import Sandbox
from tap_demandbase.tap import TapDemandbase
from tests.tap.conftest import both_apis

pytestmark = pytest.mark.thorough

Config = dict[str, Any]
ROWS = 25_000


def by_record(config: Config, **given: Any) -> TapDemandbase:  # noqa: ANN401
    """A tap with another message writer, which sends single records."""
    return TapDemandbase(config=config, message_writer=SingerWriter(), **given)


def messages(tap: TapDemandbase, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    tap.sync_all()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in lines:
        if line["type"] == "RECORD":
            assert line.pop("time_extracted").endswith("+00:00")
    return lines


def run_settings(config: Config, **more: Any) -> Config:  # noqa: ANN401
    return {**config, "job_reuse_hours": 0, **more}


def without_jobs(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All messages but for ids and times of the jobs."""
    for line in lines:
        for state in line.get("value", {}).get("bookmarks", {}).values():
            state.pop("last_job", None)
    return [line for line in lines if line.get("stream") != "export_jobs"]


@both_apis
@pytest.mark.parametrize(
    "more", [{"start_date": "2025-12-05"}, {"entities": ["activities"], "window_days": 7}]
)
def test_a_run_sends_the_same_messages(
    config: Config, capsys: pytest.CaptureFixture[str], more: Config
) -> None:
    if "entities" in more:
        own = {"activities": {"replication_key": "activity_at"}}
        more = {**more, "stream_options": own, "start_date": "2025-12-05", "end_date": "2025-12-29"}
    given = run_settings(config, **more)
    one = without_jobs(messages(by_record(given), capsys))
    other = without_jobs(messages(TapDemandbase(config=given), capsys))
    assert any(line["type"] == "RECORD" for line in one)
    assert other == one


def test_state_is_written_after_the_same_records(
    sandbox: Sandbox, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[list[str | None]] = [[str(n), None] for n in range(ROWS)]
    sandbox.add_entity("people", [("id", "string"), ("text", "string")], rows)
    given = run_settings(config, entities=["people"])
    kinds = [
        [line["type"] for line in messages(tap, capsys)]
        for tap in (by_record(given), TapDemandbase(config=given))
    ]
    assert kinds[0].count("RECORD") == ROWS
    assert kinds[1] == kinds[0]


@both_apis
def test_records_are_counted(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        TapDemandbase(config=run_settings(config, entities=["accounts"])).sync_all()
    counts = [r.getMessage() for r in caplog.records if "record_count" in r.getMessage()]
    assert any('"value":200,"tags":{"stream":"accounts"' in count for count in counts)


@both_apis
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"stream_maps": {"accounts": {"name": "md5(account_id)"}}}, "stream maps"),
        ({"stream_maps": {"copy": {"__source__": "accounts"}}}, "stream maps"),
        ({"flattening_enabled": True, "flattening_max_depth": 1}, "flattening"),
    ],
)
def test_what_needs_each_record_gets_it_and_it_is_said_once(
    config: Config,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    more: Config,
    said: str,
) -> None:
    given = run_settings(config, entities=["accounts"], **more)
    with caplog.at_level(logging.DEBUG, logger="tap-demandbase"):
        lines = messages(TapDemandbase(config=given), capsys)
    assert [r.getMessage() for r in caplog.records if "one by one" in r.getMessage()] == [
        f"Records are sent one by one: {said} "
        + ("is configured" if said == "flattening" else "are configured")
    ]
    assert without_jobs(lines) == without_jobs(messages(by_record(given), capsys))
    if "accounts" in more.get("stream_maps", {}):
        names = [line["record"]["name"] for line in lines if line["type"] == "RECORD"]
        assert {len(name) for name in names} == {32}


@both_apis
def test_a_field_that_only_the_bookmark_needs_is_not_sent(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"accounts": {"replication_key": "updated_at"}}
    given = run_settings(config, entities=["accounts"], stream_options=own)
    catalog = TapDemandbase(config=given).catalog_dict
    for item in catalog["streams"][0]["metadata"]:
        item["metadata"]["selected"] = True
        if item["breadcrumb"] == ["properties", "updated_at"]:
            item["metadata"] = {"inclusion": "available", "selected": False}
    one = messages(by_record(given, catalog=catalog), capsys)
    other = messages(TapDemandbase(config=given, catalog=catalog), capsys)
    assert without_jobs(other) == without_jobs(one)


@both_apis
def test_a_stream_of_nothing_but_its_bookmark_sends_empty_records(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"accounts": {"replication_key": "updated_at"}}
    given = run_settings(config, entities=["accounts"], stream_options=own)
    catalog = TapDemandbase(config=given).catalog_dict
    for item in catalog["streams"][0]["metadata"]:
        if item["breadcrumb"]:
            item["metadata"] = {"inclusion": "available", "selected": False}
    lines = messages(TapDemandbase(config=given, catalog=catalog), capsys)
    assert [line["record"] for line in lines if line["type"] == "RECORD"] == [{}] * 200


def test_the_replaced_method_of_the_sdk_is_unchanged() -> None:
    """If this fails: does ``fast_sync`` still do all that the SDK's method does now?"""
    source = inspect.getsource(Stream._sync_records)  # noqa: SLF001
    digest = hashlib.sha256(source.encode()).hexdigest()
    assert digest == "8928dc7f50e9bf57cc98734b30e3953b0e19007f85fe020a0c80ccdbcf5d329f"


def test_what_a_command_does_not_need_is_not_loaded(sandbox: Sandbox) -> None:
    code = (
        "import sys; from tap_demandbase.tap import CommandTap; "
        f"CommandTap(config={{'api_url': {sandbox.url!r}, 'access_token': {sandbox.token!r}}})"
        ".run_discovery(); "
        "sys.exit(len({'pyarrow', 'demandbase_api.uapi.connect'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_pipe_to_the_target_is_made_wider(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**config, "entities": ["accounts"]}))
    command = [str(Path(sys.executable).with_name("tap-demandbase")), "--config", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tap:
        assert tap.stdout is not None
        assert tap.stdout.readline()
        assert fcntl.fcntl(tap.stdout.fileno(), fcntl.F_GETPIPE_SZ) == PIPE_BYTES
        assert tap.stdout.read()
