from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demandbase_api.errors import ConfigurationError, JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.errors import (
    CellError,
    FileFormatError,
    QuotaStopError,
    RecordCountError,
    SelectionError,
)
from tap_demandbase.tap import TapDemandbase
from tests.tap.conftest import Wire, both_apis, only_failure

pytestmark = pytest.mark.thorough

if TYPE_CHECKING:
    from collections.abc import Callable

    Sync = Callable[..., Any]

NASTY = [
    "plain", 'quoted "twice"', "comma, comma", "line\r\nbreak", "line\nfeed", "tab\t", " blanks ",
    "😀 ünïcödé 東京", "NULL", "NA", "'", "=1+1", "x" * 200_000,
]  # fmt: skip


@both_apis
def test_records_equal_the_tenants_rows(sandbox: Sandbox, sync: Sync) -> None:
    records = sync("activities", start_date="2020-01-01").records("activities")
    rows = sandbox.rows("activities")
    assert len(records) == len(rows) == 2000
    by_id = {record["activity_id"]: record for record in records}
    for row in rows:
        record = by_id[str(row["activity_id"])]
        assert record["activity_id"] == row["activity_id"]
        assert record["subject"] == row["subject"]
        duration = row["duration_seconds"]
        assert record["duration_seconds"] == (None if duration is None else int(duration))
        assert record["value"] == (None if row["value"] is None else float(row["value"]))


def test_all_parts_of_a_file_are_read_in_their_order(sandbox: Sandbox, sync: Sync) -> None:
    records = sync("activities").records("activities")
    ids = [row["activity_id"] for row in sandbox.rows("activities")]
    assert [record["activity_id"] for record in records] == ids
    assert sandbox.export_jobs()[0]["file_parts"] == 4


@both_apis
def test_integers_beyond_2_53_are_exact(sandbox: Sandbox, sync: Sync) -> None:
    texts = [row["engagement_minutes"] for row in sandbox.rows("accounts")]
    minutes = [r["engagement_minutes"] for r in sync("accounts").records("accounts")]
    assert minutes == [None if text is None else int(text) for text in texts]
    assert max(filter(None, minutes)) > 2**53


@both_apis
def test_hostile_text_is_unchanged(sandbox: Sandbox, sync: Sync) -> None:
    rows: list[list[str | None]] = [[str(n), text] for n, text in enumerate(NASTY)]
    sandbox.add_entity("people", [("id", "string"), ("text", "string")], rows)
    records = sync("people").records("people")
    assert [record["text"] for record in records] == NASTY


def test_an_entity_that_nobody_foresaw_is_a_stream(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    fields = [("planet_id", "ID"), ("mass", "Double"), ("shape", "hologram"), ("glow", "quux")]
    sandbox.add_entity("planets", fields, [["p1", "1.50", "round", None]])
    with caplog.at_level(logging.WARNING):
        output = sync("planets")
    assert output.records("planets") == [
        {"planet_id": "p1", "mass": 1.5, "shape": "round", "glow": None}
    ]
    schema = next(m for m in output.messages if m["type"] == "SCHEMA")
    assert schema["key_properties"] == ["planet_id"]
    warnings = [r.getMessage() for r in caplog.records if "unknown type" in r.getMessage()]
    assert "planets.shape (hologram), planets.glow (quux)" in warnings[0]


@both_apis
def test_only_selected_fields_are_requested(sandbox: Sandbox, sync: Sync, wire: Wire) -> None:
    records = sync("accounts", fields=["name"]).records("accounts")
    key = "account_id" if wire.is_v1 else "id"
    assert records[0].keys() == {key, "name"}
    asked = sandbox.requests("createExportJob")[0].body["fields"]
    assert asked == ([key, "name"] if wire.is_v1 else ["{Account}.id", "{Account}.name"])


@both_apis
def test_one_job_a_stream_and_one_discovery_a_run(sandbox: Sandbox, sync: Sync, wire: Wire) -> None:
    sync("accounts", "people")
    assert len(sandbox.requests("createExportJob")) == 2
    # The fixture discovers once more, for the catalog: what is cached is not requested again.
    assert len(sandbox.requests(wire.discover)) == (2 if wire.is_v1 else 8)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_wrong_record_count_fails_the_stream(sandbox: Sandbox, sync: Sync, shift: int) -> None:
    sandbox.add_fault(
        Fault("listExportJobs", Effect.SHIFT, members={"record_count": shift}, times=None)
    )
    with pytest.raises(RecordCountError, match=f"counted {200 + shift} records .* hold 200"):
        sync("accounts")


def test_a_lost_row_fails_the_stream(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.MANGLE_CSV, how="drop_last_row"))
    with pytest.raises(RecordCountError, match="hold 19"):
        sync("campaigns")


@both_apis
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing_column", "lacks the selected columns updated"),
        ("duplicate_header", "columns of the same name: campaign"),
        ("ragged_row", "has 1 cells where the header has 12"),
        ("cut_in_quotes", "no valid CSV"),
        ("not_utf8", "is not UTF-8"),
    ],
)
def test_a_spoiled_file_fails_by_name(sandbox: Sandbox, sync: Sync, how: str, said: str) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.MANGLE_CSV, how=how))
    with pytest.raises(FileFormatError, match=said) as caught:
        sync("campaigns")
    assert (caught.value.stream, caught.value.part) == ("campaigns", 1)


@both_apis
def test_an_unexpected_column_is_ignored_with_a_warning(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.MANGLE_CSV, how="extra_column"))
    assert len(sync("buying_groups").records("buying_groups")) == 40
    assert any("extra" in r.getMessage() for r in caplog.records if r.levelname == "WARNING")


@both_apis
def test_a_cell_that_does_not_fit_is_named_and_not_shown(sandbox: Sandbox, sync: Sync) -> None:
    rows: list[list[str | None]] = [["1", "2"], ["2", "s3cret"]]
    sandbox.add_entity("people", [("id", "string"), ("count", "integer")], rows)
    with pytest.raises(CellError, match=r"part 1, line 3, column count .* is no integer") as caught:
        sync("people")
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"


@both_apis
def test_a_failed_job_ends_with_the_servers_words(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.JOB_FAILS, message="out of disk", times=None))
    with pytest.raises(JobFailedError, match="accounts failed: out of disk"):
        sync("accounts")


@both_apis
def test_a_used_up_quota_is_not_tried_twice(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
    with pytest.raises(QuotaStopError, match=r"quota is daily|calls of this kind are used up"):
        sync("accounts")
    assert len(sandbox.requests("createExportJob")) == 1


@both_apis
def test_an_expired_link_is_requested_again(sandbox: Sandbox, sync: Sync, wire: Wire) -> None:
    sandbox.add_fault(Fault(wire.download, Effect.EXPIRED_LINK))
    sandbox.add_fault(Fault("signedFile", Effect.CUT, bytes=1000, how="length"))
    assert len(sync("people").records("people")) == 600
    assert not any(request.authorized for request in sandbox.requests("signedFile"))


def test_expired_links_of_each_part_are_requested_again(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("downloadExportFile", Effect.EXPIRED_LINK, match={"part": 2}))
    sandbox.add_fault(Fault("signedFile", Effect.CUT, match={"part": 3}, bytes=1000, how="length"))
    assert len(sync("activities").records("activities")) == 2000
    assert len(sandbox.requests("downloadExportFile")) == 6
    assert not any(request.authorized for request in sandbox.requests("signedFile"))


def test_a_byte_order_mark_and_a_direct_download_are_accepted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = SandboxOptions(
        pending_seconds=0, processing_seconds=0, byte_order_mark=True, direct_download=True
    )
    with Sandbox(options) as sandbox:
        config = {"api_url": sandbox.url, "access_token": sandbox.token, "entities": ["campaigns"]}
        TapDemandbase(config=config).sync_all()
        assert capsys.readouterr().out.count('"type":"RECORD"') == 20
        assert not sandbox.requests("signedFile")


@both_apis
def test_no_spool_file_stays(sync: Sync, tmp_path: Path) -> None:
    sync("accounts", spool_dir=str(tmp_path / "spool"))
    files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    # What is remembered of the API and of jobs is no record's.
    assert {path.suffix for path in files} <= {".json", ".count", ".lock"}
    assert not [path for path in files if path.name.startswith("tap-demandbase-")]


@both_apis
def test_a_field_that_no_longer_exists_is_named(sandbox: Sandbox, config: dict[str, Any]) -> None:
    config["discovery_cache_hours"] = 0
    sandbox.add_entity("people", [("id", "string"), ("old", "string")], [["1", "x"]])
    catalog = TapDemandbase(config=config).catalog_dict
    sandbox.add_entity("people", [("id", "string")], [["1"]])
    catalog["streams"] = [s for s in catalog["streams"] if s["tap_stream_id"] == "people"]
    catalog["streams"][0]["selected"] = True
    tap = TapDemandbase(config={**config, "entities": ["people"]}, catalog=catalog)
    with pytest.raises(SelectionError, match="old"), only_failure():
        tap.sync_all()


@both_apis
@pytest.mark.parametrize(
    "settings",
    [
        {"entities": ["planets"]},
        {"stream_options": {"accounts": {"key_properties": ["planets"]}}},
    ],
)
def test_a_setting_that_names_nothing_is_rejected(
    config: dict[str, Any], settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="planets"):
        TapDemandbase(config={**config, **settings}).run_discovery()


@both_apis
def test_the_key_can_be_set(sync: Sync) -> None:
    options = {"accounts": {"key_properties": ["domain"]}}
    output = sync("accounts", stream_options=options)
    schema = next(m for m in output.messages if m["type"] == "SCHEMA")
    assert schema["key_properties"] == ["domain"]


def test_field_mappings_are_a_stream(sync: Sync) -> None:
    records = sync("field_mappings").records("field_mappings")
    required = {(r["entity_type"], r["field_name"]) for r in records if r["required"]}
    assert ("accounts", "domain") in required
