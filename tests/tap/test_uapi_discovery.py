"""What the tap finds on the API that Demandbase publishes, and what its files are headed with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import ConfigurationError
from demandbase_sandbox import Sandbox, SandboxOptions
from tap_demandbase.errors import FileFormatError
from tests.tap.conftest import QuickTap, only_failure
from tests.tap.uapi_settings import sandboxed

Sync = Callable[..., Any]


@pytest.fixture
def api() -> str:
    return "uapi"


class TestDiscovery:
    def test_streams_have_the_names_of_v1_and_new_ones(self, config: dict[str, Any]) -> None:
        assert set(QuickTap(config=config).streams) == {
            "accounts", "people", "opportunities", "activities", "campaigns", "creatives",
            "buying_groups", "buying_group_members", "account_list_members",
            "person_list_members", "export_jobs", "import_jobs",
        }  # fmt: skip

    def test_the_catalog_has_the_field_names_of_jobs(self, config: dict[str, Any]) -> None:
        catalog = QuickTap(config=config).catalog_dict
        entry = next(s for s in catalog["streams"] if s["tap_stream_id"] == "activities")
        fields = {
            item["breadcrumb"][1]: item["metadata"]["demandbase-field"]
            for item in entry["metadata"]
            if item["breadcrumb"]
        }
        assert fields["subject"] == "{Activity}.subject"
        assert fields["account_name"] == "{Account}.name"
        assert list(fields) == list(entry["schema"]["properties"])
        assert list(entry["key_properties"]) == ["id"]

    def test_a_saved_catalogs_field_is_requested_though_another_has_its_name_now(
        self, sandbox: Sandbox, config: dict[str, Any]
    ) -> None:
        rows = [["a1", "2026-01-01T00:00:00Z"]]
        sandbox.add_entity("people", [("person_id", "string"), ("account_id", "string")], rows)
        settings = {**config, "entities": ["people"], "discovery_cache_hours": 0}
        catalog = QuickTap(config=settings).catalog_dict
        fields = [("person_id", "string"), ("account_id", "string"), ("account_name", "string")]
        sandbox.add_entity("people", fields, [["a1", "b", "c"]])
        tap = QuickTap(config=settings, catalog=catalog)
        people = tap.streams["people"]
        assert people.fields["account_name"].job_name == "{Account}.name"  # type: ignore[attr-defined]
        fresh = QuickTap(config=settings).streams["people"]
        assert fresh.fields["account_name"].job_name == "{Person}.account_name"  # type: ignore[attr-defined]

    @pytest.mark.parametrize(("disk", "calls"), [("spool", 8), ("fresh", 16)])
    def test_runs_on_one_disk_share_what_was_discovered(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path, disk: str, calls: int
    ) -> None:
        sync("people")
        sync("people", spool_dir=str(tmp_path / disk))
        assert sandbox.calls_today()["fetchFields"] == calls

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"accounts": {"account_list_ids": [1]}}, "account_list_ids needs an API"),
            ({"campaigns": {"ad_report_type": "x"}}, "ad_report_type needs an API"),
        ],
    )
    def test_filters_that_v1_does_not_support_are_rejected(
        self, sandbox: Sandbox, options: dict[str, Any], said: str
    ) -> None:
        config = {"api_url": sandbox.url, "access_token": sandbox.token}
        with pytest.raises(ConfigurationError, match=said):
            QuickTap(config={**config, "stream_options": options}).catalog_dict  # noqa: B018


@pytest.mark.parametrize("of", ["v1", "uapi"])
def test_columns_cannot_be_set_if_the_api_lists_the_fields(
    sandbox: Sandbox, tmp_path: Path, of: str
) -> None:
    options = {"accounts": {"columns": ["accountId"]}}
    config = sandboxed(sandbox, tmp_path, entities=["accounts"], stream_options=options)
    if of == "v1":
        config = {**config, "api": "v1", "api_url": sandbox.url, "access_token": sandbox.token}
    with pytest.raises(ConfigurationError, match=r"accounts\.columns is only for the members"):
        QuickTap(config=config).catalog_dict  # noqa: B018


@pytest.fixture(scope="module")
def labelled() -> Iterator[Sandbox]:
    options = SandboxOptions(
        pending_seconds=0, processing_seconds=0, label_headers=True, byte_order_mark=True
    )
    with Sandbox(options) as sandbox:
        yield sandbox


def test_the_header_may_have_labels(
    labelled: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sandboxed(labelled, tmp_path, entities=["accounts", "buying_groups"])
    QuickTap(config=config).sync_all()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    records = [line["record"] for line in lines if line["type"] == "RECORD"]
    names = {record["name"] for record in records if "domain" in record}
    assert {row["name"] for row in labelled.rows("accounts")} == names


def test_fields_that_share_a_label_are_rejected(labelled: Sandbox, tmp_path: Path) -> None:
    fields = [("activity_id", "string"), ("account_id", "string"), ("account_name", "string"),
              ("activity_at", "datetime")]  # fmt: skip
    rows = [["v1", "acc-00000001", "Acme", "2026-05-01T00:00:00Z"]]
    labelled.add_entity("activities", fields, rows)
    days = {"start_date": "2026-05-01", "end_date": "2026-05-02"}
    tap = QuickTap(config=sandboxed(labelled, tmp_path, entities=["activities"], **days))
    with (
        pytest.raises(
            FileFormatError, match="account_name and account_name_2 share a label: desel"
        ),
        only_failure(),
    ):
        tap.sync_all()
