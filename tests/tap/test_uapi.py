"""The tap on the API that Demandbase publishes, where that differs from v1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import BusyError, ConfigurationError, JobTimeoutError
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.errors import QuotaStopError, SelectionError
from tests.tap.conftest import UAPI_OPTIONS, QuickTap

Sync = Callable[..., Any]

CREATING = ("createExportJob", "fetchAccountListJob", "fetchPersonListJob")


@pytest.fixture
def api() -> str:
    return "uapi"


def bodies(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return what jobs were asked for, in order, without their names."""
    seen = [request.body for request in sandbox.requests() if request.operation in CREATING]
    return [{name: value for name, value in body.items() if name != "jobName"} for body in seen]


class TestDiscovery:
    def test_streams_bear_the_names_of_v1_and_those_that_are_new(
        self, config: dict[str, Any]
    ) -> None:
        assert set(QuickTap(config=config).streams) == {
            "accounts", "people", "opportunities", "activities", "campaigns", "creatives",
            "buying_groups", "buying_group_members", "account_list_members",
            "person_list_members", "export_jobs", "import_jobs",
        }  # fmt: skip

    def test_the_catalog_keeps_what_jobs_call_a_field(self, config: dict[str, Any]) -> None:
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

    def test_a_saved_catalogs_field_is_asked_for_though_its_name_is_anothers_by_now(
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

    def test_runs_share_what_was_discovered(self, sandbox: Sandbox, sync: Sync) -> None:
        sync("people")
        sync("people")
        assert sandbox.calls_today()["fetchFields"] == 8

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"accounts": {"account_list_ids": [1]}}, "account_list_ids needs an API"),
            ({"campaigns": {"ad_report_type": "x"}}, "ad_report_type needs an API"),
        ],
    )
    def test_what_v1_cannot_narrow_by_is_refused_there(
        self, sandbox: Sandbox, options: dict[str, Any], said: str
    ) -> None:
        config = {"api_url": sandbox.url, "access_token": sandbox.token}
        with pytest.raises(ConfigurationError, match=said):
            QuickTap(config={**config, "stream_options": options}).catalog_dict  # noqa: B018


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

    def test_activities_need_a_first_day(self, sandbox: Sandbox, sync: Sync) -> None:
        with pytest.raises(ConfigurationError, match="set start_date"):
            sync("activities", start_date=None)
        assert not bodies(sandbox)

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

    def test_reports_name_their_kind_and_where_they_ran(self, sandbox: Sandbox, sync: Sync) -> None:
        options = {
            "campaigns": {"ad_report_type": "summary", "source": ["google", "linkedin"]},
            "creatives": {"ad_report_type": "performance"},
        }
        sync("campaigns", "creatives", fields=["campaignId"], stream_options=options)
        asked = [(body["adReportType"], body["source"]) for body in bodies(sandbox)]
        assert asked == [("summary", ["google", "linkedin"]), ("performance", ["all"])]

    def test_buying_groups_are_asked_for_by_their_accounts(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        output = sync("buying_groups", "buying_group_members")
        asked = [(body["entityType"], len(body.get("accountIds", ()))) for body in bodies(sandbox)]
        assert asked == [
            ("account", 0), ("personBuyingGroupMember", 200), ("accountBuyingGroup", 200),
        ]  # fmt: skip
        assert len(output.records("buying_groups")) == len(sandbox.rows("buying_groups")) == 40
        assert len(output.records("buying_group_members")) == 120

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
        assert "there are no accounts that it could be about" in caplog.text

    def test_a_field_outside_the_export_collection_is_named(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        body = json.dumps({"errorCode": "400-155", "errorMessage": "{Person}.title is hidden"})
        headers = {"Content-Type": "application/json"}
        sandbox.add_fault(
            Fault("createExportJob", Effect.STATUS, status=400, body=body, headers=headers)
        )
        with pytest.raises(SelectionError, match=r"title is hidden.* asked for the fields"):
            sync("people", fields=["title"])


def sandboxed(sandbox: Sandbox, folder: Path, **settings: object) -> dict[str, Any]:
    return {
        "api": "uapi",
        "api_url": sandbox.uapi_url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "spool_dir": str(folder),
        "stream_options": UAPI_OPTIONS,
        **settings,
    }


@pytest.fixture(scope="module")
def labelled() -> Iterator[Sandbox]:
    options = SandboxOptions(
        pending_seconds=0, processing_seconds=0, label_headers=True, byte_order_mark=True
    )
    with Sandbox(options) as sandbox:
        yield sandbox


def test_labels_may_stand_in_the_header(
    labelled: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sandboxed(labelled, tmp_path, entities=["accounts", "buying_groups"])
    QuickTap(config=config).sync_all()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    records = [line["record"] for line in lines if line["type"] == "RECORD"]
    names = {record["name"] for record in records if "domain" in record}
    assert {row["name"] for row in labelled.rows("accounts")} == names


@pytest.fixture(scope="module")
def slow() -> Iterator[Sandbox]:
    """A tenant whose jobs take a quarter of an hour."""
    with Sandbox(SandboxOptions(pending_seconds=60, processing_seconds=840)) as sandbox:
        yield sandbox


class TestOthersJobs:
    """One job at a time may run in the tenant, whoever created it."""

    @pytest.fixture
    def sandbox(self, slow: Sandbox) -> Sandbox:
        slow.reset()
        return slow

    def other(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = QuickTap(config=sandboxed(sandbox, tmp_path / "other", entities=["people"]))
        order = tap.streams["people"].orders[0][1]  # type: ignore[attr-defined]
        tap.export_api.submit(order.request)

    def test_somebody_elses_job_is_waited_for(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.other(sandbox, tmp_path)
        with caplog.at_level("INFO"):
            assert len(sync("accounts").records("accounts")) == 200
        assert "Waiting for somebody else's export job" in caplog.text
        # One that was refused, and one that was not: the list said when to try.
        assert len(sandbox.requests("createExportJob")) == 3

    def test_the_wait_for_it_has_an_end(self, sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
        self.other(sandbox, tmp_path)
        sync("accounts", job_timeout_seconds=100, failure=BusyError)

    def test_the_streams_jobs_run_one_after_the_other(self, sandbox: Sandbox, sync: Sync) -> None:
        output = sync("accounts", "buying_groups", "people")
        assert len(output.records("people")) == 600
        assert all(request.status == 202 for request in sandbox.requests("createExportJob"))

    def test_a_job_that_takes_too_long_is_left_to_the_next_run(
        self, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        sync("accounts", job_timeout_seconds=100, failure=JobTimeoutError)
        assert "the next run finds it" in caplog.text
        assert len(sync("accounts", job_reuse_hours=6).records("accounts")) == 200
        assert len(sandbox.requests("createExportJob")) == 1


class TestBudget:
    def test_a_run_that_the_day_cannot_hold_says_so_before_it_creates_a_job(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        for _ in range(29):
            sync("accounts", "people")
        sandbox.clear_requests()
        with pytest.raises(QuotaStopError, match="2 are left and at least 3 needed") as caught:
            sync("accounts", "people", "opportunities")
        assert caught.value.exit_code == 75
        assert "0 of 3 streams are done" in str(caught.value)
        assert not sandbox.requests("createExportJob")
        sync("accounts", "people")

    def test_jobs_that_are_there_already_need_no_new_ones(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        for _ in range(58):
            sync("accounts")
        sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=500, times=None))
        with pytest.raises(Exception, match="could not be downloaded"):
            sync("opportunities", "people", job_reuse_hours=6)
        sandbox.clear_faults()
        output = sync("opportunities", "people", job_reuse_hours=6)
        assert len(output.records("people")) == 600
        assert sandbox.calls_today()["createExportJob"] == 60

    def test_the_tap_waits_for_midnight_if_told_to(self, sandbox: Sandbox, sync: Sync) -> None:
        for _ in range(60):
            sync("accounts")
        day = sandbox.clock.now().date()
        assert len(sync("accounts", quota_wait_hours=24).records("accounts")) == 200
        assert (sandbox.clock.now().date() - day).days == 1


def test_no_two_jobs_share_a_name_and_each_can_be_found_by_it(sandbox: Sandbox, sync: Sync) -> None:
    sync("accounts", "people", "activities", start_date="2026-01-01")
    names = [request.body["jobName"] for request in sandbox.requests("createExportJob")]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 50 for name in names)
