"""The source that imports name, and the field mappings that an administrator gave it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from demandbase_api.errors import (
    ConfigurationError,
    InvalidRequestError,
    PossibleDuplicatesError,
)
from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import PlanError
from tests.target.conftest import (
    OPPORTUNITY_LABELS,
    PEOPLE_LABELS,
    Load,
    QuickTarget,
    Result,
    deal,
    deals,
    people,
    person,
    record,
    schema,
    state,
)

pytestmark = pytest.mark.thorough

CREATE, NAMES = "createImportJob", "listImportSources"
LISTED, MAPPED = "listCustomSources", "getFieldMappings"
TEXT = {"type": ["string", "null"]}
NEEDED = ("person_id", "email", "first_name", "last_name")
LABELS = {name: PEOPLE_LABELS[name] for name in NEEDED}


@pytest.fixture
def api() -> str:
    return "uapi"


def load_people(
    load: Load,
    *columns: str,
    mappings: dict[str, str] | None = None,
    **settings: Any,  # noqa: ANN401
) -> Result:
    message = people(dict.fromkeys((*NEEDED, *columns), TEXT))
    given = {"source": "HubSpot", "field_mappings": {"people": {**LABELS, **(mappings or {})}}}
    return load(
        message, person(1, **dict.fromkeys(columns, "7")), state(1), **{**given, **settings}
    )


def said(caplog: pytest.LogCaptureFixture, words: str) -> list[tuple[int, str]]:
    return [(it.levelno, it.message) for it in caplog.records if words in it.message]


def test_all_entities_are_imported_with_a_source_and_custom_fields(
    sandbox: Sandbox, load: Load
) -> None:
    account = next(row for row in sandbox.rows("accounts") if row["account_id"] == "acc-00000001")
    accounts = schema(
        dict.fromkeys(("Account Name", "Account Domain", "segment"), TEXT), key="Account Domain"
    )
    visits = schema(dict.fromkeys(("person", "at", "channel"), TEXT), "activities", "person")
    chances = deals()
    chances["schema"]["properties"] = {**chances["schema"]["properties"], "chance": TEXT}
    names = {"Account Name": account["name"], "Account Domain": account["domain"]}
    done = load(
        accounts, record("accounts", **names, segment="A"),
        people(dict.fromkeys((*NEEDED, "score"), TEXT)), person(1, score="7"),
        chances, deal(sandbox, 1, chance="50"),
        visits, record("activities", person="per-00000001", at="2026-01-02T03:04:05Z", channel="x"),
        state(1),
        source="HubSpot",
        activity_types={"activities": "web_visit"},
        custom_fields={
            "accounts": ["Segment"], "people": ["Lead Score"], "opportunities": ["Probability"],
            "activities": ["Channel"],
        },
        field_mappings={
            "accounts": {"segment": "Segment"},
            "people": {**LABELS, "score": "Lead Score"},
            "opportunities": {**OPPORTUNITY_LABELS, "chance": "Probability"},
            "activities": {"person": "External Person Id", "at": "Activity Date",
                           "channel": "Channel"},
        },
    )  # fmt: skip
    assert done.states == [1]
    jobs = sandbox.import_jobs()
    assert {(job["entityType"], job["source"]) for job in jobs} == {
        (kind, "HubSpot") for kind in ("Account", "Person", "Opportunity", "Activity")
    }
    outcomes = [job["outcome"] for job in jobs]
    assert all(each["added"] + each["updated"] == 1 for each in outcomes), outcomes
    assert sandbox.created_fields() == {}
    [row] = [row for row in sandbox.rows("people") if row["person_id"] == "n1"]
    assert row["lead_score"] == "7"
    assert sandbox.rows("activities")[-1]["channel"] == "x"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "Hubspot",
            "list for people (near: HubSpot). Set source to one of CSV, HubSpot, Webinars.",
        ),
        ("Salesforce", "list for people. Set source to one of CSV, HubSpot, Webinars."),
    ],
)
def test_a_source_that_is_not_listed_ends_the_run_before_any_job(
    sandbox: Sandbox, load: Load, source: str, words: str
) -> None:
    with pytest.raises(PlanError) as caught:
        load_people(load, source=source)
    assert str(caught.value).startswith(
        f"Stream people cannot be imported with source: {source}, which Demandbase does not "
    )
    assert words in str(caught.value)
    assert not sandbox.requests(CREATE)


def test_a_source_may_be_for_some_entities_only(sandbox: Sandbox, load: Load) -> None:
    assert load_people(load, source="Webinars").states == [1]
    with pytest.raises(PlanError, match=r"list for opportunities. Set source to one of CSV, HubS"):
        load(deals(), deal(sandbox, 1), source="Webinars")


def test_without_the_setting_no_source_is_looked_up(sandbox: Sandbox, load: Load) -> None:
    assert load_people(load, source=None).states == [1]
    assert sandbox.requests(CREATE)[0].body["source"] == "CSV"
    for operation in (NAMES, LISTED, MAPPED):
        assert not sandbox.requests(operation)


def test_v1_has_no_sources(sandbox: Sandbox, load: Load) -> None:
    v1 = {"api": "v1", "api_url": sandbox.url, "access_token": sandbox.token, "custom_fields": {}}
    with pytest.raises(ConfigurationError, match="source must be left out"):
        load({"type": "NO MESSAGE"}, **v1, source="HubSpot")


def test_the_same_file_from_another_source_is_another_file(sandbox: Sandbox, load: Load) -> None:
    for operation in ("listImportJobs", "getImportJob"):
        sandbox.add_fault(Fault(operation, Effect.STATUS, status=400, times=None))
    messages = (people(dict.fromkeys(NEEDED, TEXT)), person(1), state(1))
    load(*messages, source="CSV", failure=InvalidRequestError)
    sandbox.clear_faults()
    assert load(*messages, source="HubSpot").states == [1]
    assert [job["source"] for job in sandbox.import_jobs()] == ["HubSpot", "CSV"]


def test_activities_are_not_sent_again_from_another_source(sandbox: Sandbox, load: Load) -> None:
    for operation in ("listImportJobs", "getImportJob"):
        sandbox.add_fault(Fault(operation, Effect.STATUS, status=400, times=None))
    messages = (
        schema(dict.fromkeys(("person", "at"), TEXT), "activities", "person"),
        record("activities", person="per-00000001", at="2026-01-02T03:04:05Z"),
        state(1),
    )
    given: dict[str, Any] = {
        "activity_types": {"activities": "web_visit"},
        "field_mappings": {"activities": {"person": "External Person Id", "at": "Activity Date"}},
    }
    before = len(sandbox.rows("activities"))
    load(*messages, **given, failure=InvalidRequestError)
    sandbox.clear_faults()
    done = load(*messages, **given, source="HubSpot", failure=PossibleDuplicatesError)
    assert "1 rows, in a file or with settings that differ from those" in done.report["error"]
    assert load(*messages, **given).states == [1]
    assert len(sandbox.rows("activities")) == before + 1


def test_what_the_source_maps_otherwise_is_one_warning(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    names = {"Email": "email", "First Name": "first_name", "External Person Id": "person_id"}
    more = {"Role": "phone", "Job Title": "title", "Nobody": "x"}
    sandbox.map_source("HubSpot", "person", {**names, **more})
    mappings = {"title": "Title", "role": "Role"}
    assert load_people(load, *mappings, mappings=mappings).states == [1]
    [(level, text)] = said(caplog, "field mappings of the source HubSpot")
    assert level == logging.WARNING
    assert text == (
        "What is sent of people differs from the field mappings of the source HubSpot: it does not "
        "map Last Name, Title (near: Job Title); there Role fills Phone Number. "
        "Demandbase may fill other fields than field_mappings.people says: change one of the "
        "two."
    )
    assert "source HubSpot)" in caplog.text  # the report of the mapping


def test_mappings_that_agree_are_not_mentioned(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    labels = {"title": "Job Title", "score": "hs_score"}
    custom = {"people": ["Job Title", "hs_score"]}
    done = load_people(load, "title", "score", mappings=labels, custom_fields=custom)
    assert done.states == [1]
    assert not said(caplog, "field mappings of the source")
    # Labels of the source are those of the tenant, too.
    assert not said(caplog, "custom_fields")
    assert sandbox.created_fields() == {}
    [row] = [row for row in sandbox.rows("people") if row["person_id"] == "n1"]
    assert (row["title"], row["lead_score"]) == ("7", "7")


def test_a_source_without_mappings_has_nothing_to_compare(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert load_people(load, source="Webinars").states == [1]
    assert [request.query["group"] for request in sandbox.requests(LISTED)] == ["custom"]
    assert not said(caplog, "field mappings of the source")


def test_a_label_of_the_source_is_named_in_an_error_and_in_the_proposal(
    sandbox: Sandbox, load: Load
) -> None:
    mappings = {"score": "hs_score"}
    done = load_people(load, "score", mappings=mappings, failure=Exception)
    [path] = done.folder.glob("settings-*.json")
    settings = json.loads(path.read_text())
    assert settings["custom_fields"]["people"][-1] == "hs_score"
    assert load_people(load, "score", **settings).states == [1]
    assert sandbox.created_fields() == {}


@pytest.mark.parametrize("status", [401, 403, 500])
@pytest.mark.parametrize("operation", [LISTED, MAPPED])
def test_mappings_that_cannot_be_read_do_not_end_the_run(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture, operation: str, status: int
) -> None:
    caplog.set_level(logging.INFO)
    error = {"error": {"code": f"{status}-000", "message": "No.", "diagnosticCode": "a1b2-c3"}}
    sandbox.add_fault(
        Fault(
            operation, Effect.STATUS, status=status, body=json.dumps(error),
            headers={"Content-Type": "application/json"}, times=None,
        )
    )  # fmt: skip
    assert load_people(load).states == [1]
    [(level, text)] = said(caplog, "field mappings of the source HubSpot")
    assert level == logging.INFO
    assert text.startswith("field_mappings.people is not compared with the field mappings of the ")
    assert f"(HTTP {status}, code {status}-000, diagnostic code a1b2-c3): No." in text


def test_mappings_are_tried_for_some_seconds_only(
    sandbox: Sandbox, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuickTarget, "retry", RetryPolicy())
    sandbox.add_fault(Fault(LISTED, Effect.STATUS, status=401, times=None))
    done = load_people(load)
    assert done.states == [1]
    assert done.report["seconds"] < 30


@pytest.mark.parametrize("status", [200, 403])
def test_a_stream_that_repeats_its_schema_takes_no_more_requests(
    sandbox: Sandbox, load: Load, status: int
) -> None:
    if status != 200:
        sandbox.add_fault(Fault(MAPPED, Effect.STATUS, status=status, times=None))
    first, second = dict.fromkeys(NEEDED, TEXT), dict.fromkeys((*NEEDED, "title"), TEXT)
    visits = [
        schema(dict.fromkeys(columns, TEXT), "activities", "person")
        for columns in (("person", "at"), ("person", "at", "channel"))
    ]
    labels = {"person": "External Person Id", "at": "Activity Date", "channel": "Channel"}
    done = load(
        *[people(first), person(1), people(second), person(2)] * 2,
        *visits * 2,
        state(1),
        source="HubSpot",
        activity_types={"activities": "web_visit"},
        custom_fields={"activities": ["Channel"]},
        field_mappings={"people": {**LABELS, "title": "Title"}, "activities": labels},
    )
    assert done.states == [1]
    assert len(sandbox.requests(NAMES)) == 2  # of people and of activities
    for operation in (LISTED, MAPPED, "listActivityTypes", "getActivityType"):
        assert len(sandbox.requests(operation)) == 1, operation


def test_nothing_of_a_source_is_changed(sandbox: Sandbox, load: Load) -> None:
    load_people(load)
    requests = [each for each in sandbox.requests() if "custom-sources" in each.path]
    assert {request.method for request in requests} == {"GET"}
    assert len(requests) == 2
