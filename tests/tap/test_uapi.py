"""The tap on the API that Demandbase publishes, where that differs from v1."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from demandbase_api.errors import InvalidRequestError
from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.errors import FileFormatError, SelectionError
from tests.tap.conftest import QuickTap

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]


CREATING = ("createExportJob", "fetchAccountListJob", "fetchPersonListJob")


@pytest.fixture
def api() -> str:
    return "uapi"


def bodies(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the requests of the jobs, in order, without their names."""
    seen = [request.body for request in sandbox.requests() if request.operation in CREATING]
    return [{name: value for name, value in body.items() if name != "jobName"} for body in seen]


class TestRequests:
    def test_activities_are_cut_into_jobs_of_at_most_90_days(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        first = sandbox.rows("activities")
        days = {"start_date": "2025-10-01", "end_date": "2026-06-30"}
        records = sync("activities", fields=["subject"], **days).records("activities")
        ranges = [(body["fromDate"], body["toDate"]) for body in bodies(sandbox)]
        assert ranges == [
            ("2025-10-01", "2025-12-29"),
            ("2025-12-29", "2026-03-28"),
            ("2026-03-28", "2026-06-25"),
            ("2026-06-25", "2026-06-30"),
        ]
        within = [row for row in first if "2025-10-01" <= (row["activity_at"] or "") < "2026-07-01"]
        assert len(records) == len(within) > 0

    def test_activities_without_a_start_date_begin_89_days_back(
        self, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        today = sandbox.clock.now().date()
        first = today - timedelta(days=89)
        days = {name: f"{today - timedelta(days=back)}T12:00:00Z"
                for name, back in (("before", 90), ("first", 89), ("now", 0))}  # fmt: skip
        fields = [("subject", "string"), ("activity_at", "datetime")]
        sandbox.add_entity("activities", fields, [[name, day] for name, day in days.items()])
        with caplog.at_level(logging.INFO):
            output = sync("activities")
        assert f"activities begins on {first}, 89 days back, since start_date is not" in caplog.text
        assert {record["subject"] for record in output.records("activities")} == {"first", "now"}
        caplog.clear()
        with caplog.at_level(logging.INFO):
            sync("activities", state={"bookmarks": output.state})
        assert "89 days back" not in "".join(
            each.getMessage() for each in caplog.records if each.name == "tap-demandbase.activities"
        )
        [(start, end), again] = [(body["fromDate"], body["toDate"]) for body in bodies(sandbox)]
        assert (start, end) == (first.isoformat(), today.isoformat())
        assert again[0] > start

    def test_activities_of_a_full_export_are_cut_too_and_leave_no_bookmark(
        self, sandbox: Sandbox, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings = {**config, "entities": ["activities"], "start_date": "2025-06-01"}
        catalog = QuickTap(config=settings).catalog_dict
        [entry] = [s for s in catalog["streams"] if s["tap_stream_id"] == "activities"]
        catalog["streams"] = [entry]
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"] |= {"selected": True, "forced-replication-method": "FULL_TABLE"}
        entry["replication_method"] = "FULL_TABLE"
        capsys.readouterr()
        QuickTap(config=settings, catalog=catalog).sync_all()
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(bodies(sandbox)) > 1
        assert any(line["type"] == "RECORD" for line in lines)
        assert "replication_key_value" not in str(lines[-1])

    def test_other_streams_are_incremental_by_filters(self, sandbox: Sandbox, sync: Sync) -> None:
        options = {"accounts": {"replication_key": "updated_at"}}
        state = {
            "bookmarks": {
                "accounts": {
                    "replication_key": "updated_at",
                    "replication_key_value": "2026-05-10T00:00:00.000000Z",
                }
            }
        }
        days = {"end_date": "2026-05-20", "lookback_days": 2}
        output = sync("accounts", stream_options=options, state=state, **days)
        [body] = bodies(sandbox)
        assert body["filters"] == [
            {
                "field": "{Account}.updated_at",
                "operator": "Greater Than or Equal To",
                "values": ["2026-05-08"],
            },
            {"field": "{Account}.updated_at", "operator": "Less Than", "values": ["2026-05-21"]},
        ]
        expected = [
            row["account_id"]
            for row in sandbox.rows("accounts")
            if "2026-05-08" <= (row["updated_at"] or "") < "2026-05-21"
        ]
        assert [record["account_id"] for record in output.records("accounts")] == expected

    def test_lists_narrow_and_their_members_are_streams(self, sandbox: Sandbox, sync: Sync) -> None:
        options = {
            "people": {"person_list_ids": [1], "account_list_ids": [1, 2]},
            "person_list_members": {"person_list_ids": [2]},
        }
        output = sync(
            "accounts",
            "people",
            "account_list_members",
            "person_list_members",
            fields=[],
            stream_options=options,
            account_list_id="1",
        )
        lists = [
            {n: v for n, v in body.items() if n.endswith("ListIds")} for body in bodies(sandbox)
        ]
        assert lists == [
            {"accountListIds": [1]},
            {"accountListIds": [1]},
            {"accountListIds": [1, 2], "personListIds": [1]},
            {"personListIds": [2]},
        ]
        assert {r["accountListId"] for r in output.records("account_list_members")} == {"1"}
        assert {r["personListId"] for r in output.records("person_list_members")} == {"2"}

    def test_columns_of_lists_that_are_others_are_to_be_named(self, sync: Sync) -> None:
        options = {"account_list_members": {"account_list_ids": [1], "columns": ["listId"]}}
        with pytest.raises(FileFormatError, match=r"columns listId.*account_list_members\.columns"):
            sync("account_list_members", stream_options=options)

    def test_reports_name_their_kind_and_where_they_ran(self, sandbox: Sandbox, sync: Sync) -> None:
        options = {
            "campaigns": {"ad_report_type": "summary", "source": ["google", "linkedin"]},
            "creatives": {"ad_report_type": "performance"},
        }
        sync("campaigns", "creatives", fields=["campaignId"], stream_options=options)
        asked = [(body["adReportType"], body["source"]) for body in bodies(sandbox)]
        assert asked == [("summary", ["google", "linkedin"]), ("performance", ["all"])]

    @pytest.mark.parametrize(
        ("stream", "options", "setting"),
        [
            ("campaigns", {"ad_report_type": "no such"}, "Check ad_report_type of"),
            ("campaigns", {"ad_report_type": "summary", "source": ["radio"]}, "Check source of"),
            (
                "accounts",
                {"account_list_ids": [999]},
                "Check account_list_id, and account_list_ids",
            ),
            ("people", {"person_list_ids": [999]}, "Check person_list_ids of"),
            ("accounts", {"person_list_ids": [1]}, "Check the settings stream_options"),
            ("campaigns", {"ad_report_type": "summary", "account_list_id": "1"}, "stream_options"),
        ],
    )
    def test_a_setting_that_demandbase_rejects_is_named(
        self, sync: Sync, stream: str, options: dict[str, Any], setting: str
    ) -> None:
        with pytest.raises((SelectionError, InvalidRequestError), match=setting):
            sync(stream, stream_options={stream: options})

    def test_a_stream_that_the_account_list_cannot_filter_is_logged(
        self, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert sync("campaigns", "accounts", account_list_id="1").records("campaigns")
        warnings = [line for line in caplog.messages if "does not filter" in line]
        assert [line.split(" this API")[0] for line in warnings] == [
            "The setting account_list_id does not filter stream campaigns:"
        ]

    def test_buying_groups_are_requested_by_their_accounts(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        output = sync("buying_groups", "buying_group_members")
        asked = [(body["entityType"], len(body.get("accountIds", ()))) for body in bodies(sandbox)]
        assert asked == [
            ("account", 0), ("personBuyingGroupMember", 200), ("accountBuyingGroup", 200),
        ]  # fmt: skip
        assert len(output.records("buying_groups")) == len(sandbox.rows("buying_groups")) == 40
        assert len(output.records("buying_group_members")) == 120

    def test_no_file_is_downloaded_twice_though_ids_come_in_between(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        output = sync("accounts", "activities", "buying_groups", "campaigns", "people",
                      start_date="2026-01-01", end_date="2026-02-01")  # fmt: skip
        assert len(output.records("people")) == 600
        assert len(bodies(sandbox)) == len(sandbox.requests("signedFile")) == 6

    def test_more_than_10_000_accounts_are_several_jobs(self, sandbox: Sandbox, sync: Sync) -> None:
        rows = [[f"a{number}", f"{number}.example"] for number in range(20_001)]
        sandbox.add_entity("accounts", [("account_id", "string"), ("domain", "string")], rows)
        groups = [[f"g{number}", f"a{number}"] for number in (0, 10_000, 20_000)]
        fields = [("buying_group_id", "string"), ("account_id", "string")]
        sandbox.add_entity("buying_groups", fields, groups)
        records = sync("buying_groups").records("buying_groups")
        assert sorted(record["buying_group_id"] for record in records) == ["g0", "g10000", "g20000"]
        assert [len(b.get("accountIds", ())) for b in bodies(sandbox)] == [0, 10_000, 10_000, 1]

    def test_no_accounts_are_no_buying_groups(
        self, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox.add_entity("accounts", [("account_id", "string")], [])
        assert sync("buying_groups").records("buying_groups") == []
        assert "there are no accounts whose ids it needs" in caplog.text

    @pytest.mark.parametrize("code", ["400-155", "403-104"])
    def test_a_field_outside_the_export_collection_is_named(
        self, sandbox: Sandbox, sync: Sync, code: str
    ) -> None:
        body = json.dumps({"errorCode": code, "errorMessage": "{Person}.title is hidden"})
        headers = {"Content-Type": "application/json"}
        status = int(code[:3])
        sandbox.add_fault(
            Fault("createExportJob", Effect.STATUS, status=status, body=body, headers=headers)
        )
        said = (
            r"does not export some of the fields, which are outside of the tenant's Export "
            r"Collection, .*title is hidden.* Deselect them.* requested the fields"
        )
        with pytest.raises(SelectionError, match=said):
            sync("people", fields=["title"])


def test_one_token_is_enough_for_a_run_that_reads_of_exports_and_imports(
    sandbox: Sandbox, config: dict[str, Any]
) -> None:
    tap = QuickTap(config={**config, "entities": ["people"]})
    assert not [*tap.export_api.jobs(), *tap.import_api.jobs()]
    assert len(sandbox.requests("createToken")) == 1


def test_no_two_jobs_share_a_name_and_each_can_be_found_by_it(sandbox: Sandbox, sync: Sync) -> None:
    sync("accounts", "people", "activities", start_date="2026-01-01")
    names = [request.body["jobName"] for request in sandbox.requests("createExportJob")]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 50 for name in names)
