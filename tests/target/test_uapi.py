"""What only ``uapi`` has: lists, activity types, labels, and outcomes that it keeps."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

from demandbase_api.errors import (
    CallBudgetError,
    ConfigurationError,
    InvalidRequestError,
    JobFailedError,
    PossibleDuplicatesError,
    UnreachableError,
)
from demandbase_api.models import ListAction
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import MappingError, ReconciliationError, RejectedRowsError
from tests.target.command import running, until
from tests.target.conftest import Load, landed, people, person, record, schema, state

pytestmark = pytest.mark.thorough

CREATE, UPLOAD, LIST = "createImportJob", "uploadImportFile", "listImportJobs"
TEXT = {"type": ["string", "null"]}
ACCOUNT_COLUMNS = ("Account Domain", "Account Name", "External Account ID", "Industry", "Owner")
ACTIVITY_LABELS = {"person": "External Person Id", "at": "Activity Date"}


@pytest.fixture
def api() -> str:
    return "uapi"


def accounts(*columns: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401
    names = columns or ACCOUNT_COLUMNS
    return {**schema(dict.fromkeys(names, TEXT), key="Account Domain"), **members}


def account(**cells: str | None) -> dict[str, Any]:
    known = {"Name": "Account Name", "Domain": "Account Domain", "Id": "External Account ID"}
    return record("accounts", **{known.get(name, name): cell for name, cell in cells.items()})


def activities(stream: str = "activities") -> dict[str, Any]:
    return schema(dict.fromkeys(ACTIVITY_LABELS, TEXT), stream, "person")


def activity(number: int, stream: str = "activities") -> dict[str, Any]:
    return record(stream, person=f"per-0000000{number}", at="2026-01-02T03:04:05Z")


def sent(sandbox: Sandbox) -> list[str]:
    return [
        sandbox.uploaded(job["id"]).decode()
        for job in reversed(sandbox.import_jobs())
        if sandbox.uploaded_files(job["id"])
    ]


def test_the_report_says_accepted_and_never_succeeded(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    done = load(people(), person(1), person(2), state(1))
    figures = done.report["streams"]["people"]
    assert (figures["rows_accepted"], figures["rows_succeeded"]) == (2, None)
    unknown = "row outcomes unknown: see the import audit in Demandbase"
    assert done.report["rows_accepted_means"] == unknown
    assert f"accepted 2 rows of stream people in job 10001; {unknown}" in caplog.text
    assert "Demandbase imported" not in caplog.text


def test_account_lists_are_left_alone_unless_a_setting_says_otherwise(
    sandbox: Sandbox, load: Load
) -> None:
    members = sandbox.rows("account_list_members")
    done = load(accounts(), account(Name="Stark 1", Domain="company1.example", Id="acc-00000001"))
    [request] = sandbox.requests(UPLOAD)
    assert request.query == {"listAction": "noop"}
    assert done.report["list_action"] == "noop"
    assert sandbox.rows("account_list_members") == members


@pytest.mark.parametrize("action", [each for each in ListAction if each is not ListAction.NOOP])
def test_what_is_done_to_account_lists_is_sent_logged_and_reported(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture, action: ListAction
) -> None:
    row = account(Name="Stark 1", Domain="company1.example", Id="acc-00000001")
    done = load(accounts(), row, list_action=action.value)
    assert sandbox.requests(UPLOAD)[0].query == {"listAction": action.value}
    assert done.report["list_action"] == action.value
    assert f"list_action is {action.value}" in caplog.text


def test_a_file_that_is_to_change_a_list_otherwise_is_another_file(
    sandbox: Sandbox, load: Load
) -> None:
    messages = (accounts(), account(Name="Stark 1", Domain="company1.example"))
    for operation in (LIST, "getImportJob"):
        sandbox.add_fault(Fault(operation, Effect.STATUS, status=400, times=None))
    load(*messages, failure=InvalidRequestError)
    sandbox.clear_faults()
    load(*messages, list_action="insert")
    assert [job["list_action"] for job in sandbox.import_jobs()] == ["insert", "noop"]


@pytest.mark.parametrize("kind", [39, "39", "form_fill"])
def test_activities_name_their_type_by_its_id_or_its_name(
    sandbox: Sandbox, load: Load, kind: str | int
) -> None:
    done = load(
        activities("fills"), activity(1, "fills"), state(1),
        entity_map={"fills": "activities"}, activity_types={"fills": kind},
        field_mappings={"activities": ACTIVITY_LABELS},
    )  # fmt: skip
    assert done.states == [1]
    [job] = sandbox.import_jobs()
    assert (job["activityTypeId"], job["outcome"]["added"]) == (39, 1)
    assert sent(sandbox) == [
        '"External Person Id","Activity Date"\n"per-00000001","2026-01-02T03:04:05Z"\n'
    ]
    assert sandbox.created_fields() == {}


@pytest.mark.parametrize(
    ("types", "said"),
    [
        (None, "must name the type of its activities"),
        ({"activities": "from_fill"}, r"that does not exist \(near: form_fill\)"),
        ({"activities": 99}, "names an activity type that does not exist"),
    ],
)
def test_activities_without_a_type_fail_before_any_record_and_name_the_types(
    sandbox: Sandbox, load: Load, types: dict[str, Any] | None, said: str
) -> None:
    settings = {"field_mappings": {"activities": ACTIVITY_LABELS}}
    with pytest.raises(MappingError, match=said) as caught:
        load(activities(), activity(1), activity_types=types, **settings)
    assert "form_fill (39)" in str(caught.value)
    assert not sandbox.requests(CREATE)


@pytest.mark.parametrize(
    ("stream", "types", "proposed"),
    [
        ("form_fills", {}, "form_fill"),
        ("fills", {"fills": "Form fil"}, "form_fill"),
        ("fills", {}, None),
        ("fills", {"fills": 99}, None),
    ],
)
def test_a_type_that_is_near_is_proposed_with_the_columns_of_its_stream(
    load: Load, stream: str, types: dict[str, Any], proposed: str | None
) -> None:
    columns = dict.fromkeys(("external_person_id", "activity date"), TEXT)
    head = schema(columns, stream, "external_person_id")
    settings = {"entity_map": {stream: "activities"}, "activity_types": types}
    done = load(head, failure=MappingError, **settings)
    [path] = done.folder.glob("settings-*.json")
    found = json.loads(path.read_text())
    if proposed is None:
        assert found.get("activity_types", types) == types
        return
    assert found["activity_types"] == {stream: proposed}
    cells = {"external_person_id": "per-00000001", "activity date": "2026-01-02T03:04:05Z"}
    assert load(head, record(stream, **cells), state(1), **found).states == [1]


def test_each_type_of_activity_has_fields_of_its_own_and_the_required_ones_are_checked(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fields: list[dict[str, Any]] = [
        {"fieldName": "Room", "fieldDataType": "string", "isRequiredForCsvImport": True},
        {"fieldName": "Seats", "fieldDataType": "integer"},
    ]
    kind = add_activity_type(sandbox, "Trade fair", fields)
    columns = dict.fromkeys((*ACTIVITY_LABELS, "Room", "Seats"), TEXT)
    fairs = schema(columns, "fairs", "person")
    lacking = schema(dict.fromkeys(ACTIVITY_LABELS, TEXT), "fairs", "person")
    settings = {
        "entity_map": {"fairs": "activities", "visits": "activities"},
        "activity_types": {"fairs": "trade_fair", "visits": "web_visit"},
        "field_mappings": {"activities": ACTIVITY_LABELS},
    }
    with pytest.raises(MappingError) as caught:
        load(lacking, activity(1, "fairs"), **settings)
    assert str(caught.value).startswith(
        "Stream fairs does not fit the entity activities of type trade_fair: required field Room "
        "is filled by no column. "
    )
    with pytest.raises(MappingError, match="of type web_visit: column Room is unknown; column Se"):
        load({**fairs, "stream": "visits"}, **settings)
    assert not sandbox.requests(CREATE)

    rows = [activity(number, "fairs") for number in (1, 2)]
    for row, room in zip(rows, ("7", ""), strict=True):
        row["record"] |= {"Room": room, "Seats": "3"}
    done = load(fairs, *rows, activities("visits"), activity(3, "visits"), state(1), **settings,
                on_reject="continue")  # fmt: skip
    assert done.states == [1]
    jobs = {job["activityTypeId"]: job["outcome"] for job in sandbox.import_jobs()}
    assert {number: job["added"] for number, job in jobs.items()} == {kind: 1, 37: 1}
    [reject] = done.rejects
    assert "Room, which fills a required field, is empty" in reject["_reject_reason"]
    assert sandbox.created_fields() == {}
    assert (
        "(insert, matched by Demandbase's own rules, activity type trade_fair)" in caplog.text
        or ("activity type trade_fair)" in caplog.text)
    )


def add_activity_type(sandbox: Sandbox, label: str, fields: list[dict[str, Any]]) -> int:
    """Add a type, as an administrator does."""
    response = requests.post(
        f"{sandbox.uapi_url}/import/v1/activity_type",
        json={"activityType": {"label": label}, "fields": fields},
        headers={"Authorization": f"Bearer {sandbox.token}"},
        timeout=10,
    )
    return int(response.json()["id"])


def test_activities_may_be_added_already_so_they_are_never_blindly_sent_again(
    sandbox: Sandbox, load: Load
) -> None:
    settings = {"field_mappings": {"activities": ACTIVITY_LABELS},
                "activity_types": {"activities": 39}}  # fmt: skip
    for operation in (LIST, "getImportJob"):
        sandbox.add_fault(Fault(operation, Effect.STATUS, status=400, times=None))
    load(activities(), activity(1), state(1), failure=InvalidRequestError, **settings)
    sandbox.clear_faults()
    with pytest.raises(PossibleDuplicatesError, match="the import job 10001"):
        load(activities(), activity(1), activity(2), state(2), **settings)
    assert len(sandbox.import_jobs()) == 1
    # The very same file is the same job.
    assert load(activities(), activity(1), state(1), **settings).states == [1]
    assert len(sandbox.import_jobs()) == 1


def test_activities_whose_upload_was_not_answered_are_not_sent_again_while_that_is_in_doubt(
    sandbox: Sandbox, load: Load
) -> None:
    settings = {"field_mappings": {"activities": ACTIVITY_LABELS},
                "activity_types": {"activities": 39}}  # fmt: skip
    sandbox.add_fault(Fault(UPLOAD, Effect.DROP_AFTER))
    sandbox.add_fault(Fault("getImportJob", Effect.ALTER, members={"state": "new"}, times=5))
    messages = (activities(), activity(1), state(1))
    with pytest.raises(PossibleDuplicatesError, match=r"job 10001 .* whether it got them"):
        load(*messages, **settings)
    assert load(*messages, **settings).states == [1]
    assert len(sandbox.requests(UPLOAD)) == len(sandbox.import_jobs()) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"operation": "insert"}, "operation can only be upsert"),
        ({"match_keys": {"people": "Email"}}, "match_keys must be left out"),
        ({"max_file_bytes": 6_000_000_000}, "max_file_bytes can be 5000000000 at most"),
        ({"activity_types": {"people": 39}}, "activity_types.people names a stream that is not"),
    ],
)
def test_what_the_api_cannot_do_is_refused_before_anything_is_read(
    sandbox: Sandbox, load: Load, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load({"type": "NO MESSAGE"}, **settings)
    assert not sandbox.requests()


def test_limits_on_rejects_are_said_to_bear_on_the_targets_own_only(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    done = load(people(), person(1), person(2, email=None), on_reject="continue",
                max_rejected_rows=1)  # fmt: skip
    assert "on_reject and max_rejected_rows apply only to rows that this target" in caplog.text
    assert [row["person_id"] for row in done.rejects] == ["n2"]

    load(people(), person(1), on_reject="continue")
    assert "on_reject applies only to rows that this target" in caplog.text


@pytest.mark.parametrize("cell", [None, ""])
def test_a_row_that_demandbase_would_drop_without_a_word_is_kept(
    sandbox: Sandbox, load: Load, cell: str | None
) -> None:
    rows = [person(1), person(2, last_name=cell), person(3)]
    with pytest.raises(
        RejectedRowsError, match="last_name, which fills a required field, is empty"
    ):
        load(people(), *rows, state(1))
    assert landed(sandbox).keys() == {"1", "3"}


def test_rows_that_may_be_one_account_land_in_their_order(sandbox: Sandbox, load: Load) -> None:
    # By id, or by domain and name: the documents name both.
    base = {"Name": "Stark 1", "Domain": "company1.example"}
    load(
        accounts(),
        account(**base, Id="acc-00000001", Industry="one"),
        account(**base, Industry="two", Owner="a@b.example"),
        account(**base, Id="acc-00000001", Industry="three"),
    )
    row = next(row for row in sandbox.rows("accounts") if row["account_id"] == "acc-00000001")
    assert row["industry"] == "three"
    assert len(sent(sandbox)) == 3


def test_only_rows_that_agree_in_all_they_are_matched_by_stand_for_each_other(
    sandbox: Sandbox, load: Load
) -> None:
    rows = [("a.example", "A"), ("a.example", "B"), ("a.example", "A")]
    done = load(
        accounts("Account Domain", "Account Name", "Industry"),
        *(account(Name=name, Domain=domain, Industry=str(number))
          for number, (domain, name) in enumerate(rows)),
    )  # fmt: skip
    assert done.report["streams"]["accounts"]["rows_deduplicated"] == 1
    assert sent(sandbox)[0].splitlines()[1:] == ['"a.example","B","1"', '"a.example","A","2"']


def test_a_failed_job_may_have_taken_rows_and_says_where_to_look(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.JOB_FAILS))
    with pytest.raises(JobFailedError, match="see the import audit in Demandbase"):
        load(people(), person(1), state(1))
    sandbox.clear_faults()
    assert load(people(), person(1), state(1)).states == [1]
    assert [job["status"] for job in sandbox.import_jobs()] == ["completed", "failed"]


def test_a_job_of_another_entity_is_read_again_and_ends_the_run(
    sandbox: Sandbox, load: Load
) -> None:
    other = {"entityType": "Account"}
    sandbox.add_fault(Fault("listImportJobs", Effect.ALTER, items={}, members=other, times=None))
    sandbox.add_fault(Fault("getImportJob", Effect.ALTER, members=other, times=None))
    with pytest.raises(ReconciliationError, match="entity is another than was sent"):
        load(people(), person(1), state(1))
    # A day has few calls: some are spent on a job whose figures disagree, none on others.
    assert len(sandbox.requests("getImportJob")) == 4
    sandbox.clear_faults()
    before = len(sandbox.requests("getImportJob"))
    assert load(people(), person(2), state(2)).states == [2]
    assert len(sandbox.requests("getImportJob")) == before


def test_a_job_that_cannot_be_cancelled_is_logged_and_resumed(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
    with running(sandbox, tmp_path, **config) as run:
        run.feed(people(), person(1), state(1))
        until(lambda: len(sandbox.requests(LIST)) > 1)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(10) == 143
        assert "The import job 10001 for people continues" in run.errors
        assert run.states == []
    assert len(list((tmp_path / "spool").rglob("target-demandbase-ledger/*.json"))) == 1


def test_the_days_calls_end_the_run_as_one_that_may_work_later(
    sandbox: Sandbox, load: Load, tmp_path: Path
) -> None:
    load(people(), person(1), state(1))
    [calls] = (tmp_path / "spool").glob("demandbase-calls-*.json")
    counted = json.loads(calls.read_text())
    counted["calls"]["CREATE_IMPORT"] = 1_200
    calls.write_text(json.dumps(counted))
    with pytest.raises(CallBudgetError, match=r"allows 1,200 calls a day") as caught:
        load(people(), person(2), state(2))
    assert caught.value.exit_code == 75
    assert landed(sandbox).keys() == {"1"}


def test_the_job_of_equal_rows_that_were_sent_before_others_does_not_pass_for_the_new_one(
    sandbox: Sandbox, load: Load
) -> None:
    old, new = ((people(), person(1, title=title), state(title)) for title in ("old", "new"))
    load(*old)
    load(*new)
    sandbox.add_fault(Fault(CREATE, Effect.DROP_BEFORE, times=None))
    load(*old, failure=UnreachableError)
    sandbox.clear_faults()
    assert load(*old).states == ["old"]
    assert landed(sandbox)["1"]["title"] == "old"


def test_a_legacy_token_alone_will_do(sandbox: Sandbox, load: Load, config: dict[str, Any]) -> None:
    del config["client_id"], config["client_secret"]
    assert load(people(), person(1), state(1), access_token=sandbox.token).states == [1]
    assert not sandbox.requests("createToken")
