from __future__ import annotations

from typing import Any

import pytest
import requests

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.sandbox.uapi.conftest import Caller
from tests.sandbox.uapi.published import (
    FIELD_MAPPING,
    IMPORT,
    IMPORT_JOB,
    IMPORT_PAGE,
    SOURCE,
    SOURCES,
    STRUCTURED_ERROR,
)

ACCOUNTS = [
    {"account_id": "a-1", "name": "Acme", "domain": "acme.example", "employee_count": "1"},
    {"account_id": "a-2", "name": "Globex", "domain": "globex.example"},
    {"account_id": "a-3", "name": "Globex", "domain": "globex.example"},
]
PERSON_HEADER = "First Name,Last Name,Email,External Person Id"
DEAL_HEADER = "External Opportunity ID,Opportunity Name,Account Name,Account Domain"


@pytest.fixture
def tenant(api: Caller) -> Caller:
    api.sandbox.put_rows("accounts", ACCOUNTS)
    api.sandbox.put_rows("people", [{"person_id": "p-1", "email": "x@y", "account_id": "a-1"}])
    for entity in ("opportunities", "activities", "account_list_members"):
        api.sandbox.put_rows(entity, [])
    return api


def records(api: Caller, entity: str, key: str) -> dict[str | None, dict[str, str | None]]:
    return {row[key]: row for row in api.sandbox.rows(entity)}


def test_the_id_of_a_job_that_has_vanished_is_not_given_again(api: Caller) -> None:
    api.sandbox.add_fault(Fault("createImportJob", Effect.JOB_GONE, seconds=60, times=1))
    gone = api.create_import()
    api.sandbox.clock.advance(61)
    assert api("GET", f"{IMPORT}/job/{gone}").status_code == 404
    assert api.create_import() == gone + 1


def test_a_job_takes_its_file_and_lives_by_the_clock() -> None:
    with Sandbox(SandboxOptions(pending_seconds=60, processing_seconds=60)) as sandbox:
        api = Caller(sandbox)
        body = {"dataImportName": "Mine", "entityType": "Account"}
        created = api("POST", f"{IMPORT}/job", json=body)
        assert (created.status_code, created.json().keys()) == (200, IMPORT_JOB)
        assert (created.json()["state"], created.json()["source"]) == ("new", "CSV")
        job_id = created.json()["id"]
        assert isinstance(job_id, int)
        content = b"Account Name,Account Domain\r\nx,y\r\n"
        assert api.upload(job_id, content, listAction="noop").json()["state"] == "processing"
        assert sandbox.uploaded(job_id) == content
        states = []
        for _ in range(2):
            states.append(api("GET", f"{IMPORT}/job/{job_id}").json()["state"])
            sandbox.clock.advance(121)
        assert states == ["processing", "completed"]
        listed = api("GET", f"{IMPORT}/jobs").json()
        assert listed.keys() == IMPORT_PAGE
        assert [job["id"] for job in listed["data"]] == [job_id]


@pytest.mark.parametrize(
    "members",
    [
        {"entityType": "account"},
        {"entityType": "Campaign"},
        {"source": "XML"},
        {"dataImportName": ""},
        {"dataImportName": None},
        {"surprise": 1},
        {"activityTypeId": 37},
        {"entityType": "Activity"},
        {"entityType": "Activity", "activityTypeId": 999},
        {"entityType": "Activity", "activityTypeId": "37"},
    ],
)
def test_a_wrong_job_is_rejected_with_a_message(api: Caller, members: dict[str, Any]) -> None:
    body = {"dataImportName": "x", "entityType": "Account", **members}
    response = api("POST", f"{IMPORT}/job", json=body)
    assert (response.status_code, response.json().keys()) == (400, {"message"})


def test_a_job_of_activities_has_its_type(api: Caller) -> None:
    body = {"dataImportName": "x", "entityType": "Activity", "activityTypeId": 39}
    job = api("POST", f"{IMPORT}/job", json=body).json()
    assert job["activityTypeId"] == 39


def test_a_file_is_taken_once_raw_and_not_empty(api: Caller) -> None:
    job_id = api.create_import()
    assert api.upload(job_id, b"").status_code == 400
    assert api.upload(job_id, b"x", listAction="Replace").status_code == 400
    path = f"{IMPORT}/job/{job_id}/data"
    assert api("PUT", path, {"Content-Type": "text/csv"}, data=b"x").status_code == 400
    assert api("PUT", path, files={"file": b"x"}).status_code == 400
    assert api.upload(job_id, b"Account Name,Account Domain\r\n").status_code == 200
    assert api.upload(job_id, b"Account Name,Account Domain\r\n").status_code == 400
    assert api.upload(77, b"x").status_code == 404
    assert api("GET", f"{IMPORT}/job/77").json().keys() == {"message"}


def test_a_file_can_be_too_large() -> None:
    with Sandbox(SandboxOptions(uapi_max_upload_bytes=10)) as sandbox:
        api = Caller(sandbox)
        assert api.upload(api.create_import(), b"x" * 11).status_code == 400


@pytest.mark.parametrize(
    "content",
    [
        "Account Name\r\nAcme\r\n",
        "Account Name,Account Domain\r\nAcme\r\n",
        'Account Name,Account Domain\r\n"Acme,acme.example\r\n',
        "Account Name,Account Domain,Account Name\r\nAcme,acme.example,Acme\r\n",
    ],
)
def test_a_file_that_is_none_makes_the_job_fail_later(tenant: Caller, content: str) -> None:
    before = tenant.sandbox.rows("accounts")
    assert tenant.load(content)["status"] == "failed"
    assert tenant.sandbox.rows("accounts") == before


def test_accounts_are_matched_by_external_id_then_by_domain_and_name(tenant: Caller) -> None:
    outcome = tenant.load(
        "Account Name,Account Domain,External Account ID,Employees\r\n"
        "New name,other.example,a-1,10\r\n"
        "Acme,acme.example,unknown,20\r\n"
        "Another,acme.example,,30\r\n"
        "Globex,globex.example,,40\r\n"
        "Nobody,nobody.example,,50\r\n"
        ",acme.example,a-1,60\r\n"
    )
    assert (outcome["read"], outcome["updated"], outcome["added"], outcome["dropped"]) == (
        6, 1, 0, 5,
    )  # fmt: skip
    rows = records(tenant, "accounts", "account_id")
    assert rows["a-1"]["name"] == "New name"
    assert rows["a-1"]["employee_count"] == "10"
    assert len(rows) == 3


def test_people_are_added_and_changed_and_find_their_account(tenant: Caller) -> None:
    outcome = tenant.load(
        f"{PERSON_HEADER},Account Domain\r\n"
        "Ada,L,ada@acme.example,p-1,globex.example\r\n"
        "Grace,H,grace@acme.example,p-2,acme.example\r\n"
        "No,Id,no@acme.example,,acme.example\r\n",
        entityType="Person",
    )
    assert (outcome["updated"], outcome["added"], outcome["dropped"]) == (1, 1, 1)
    rows = records(tenant, "people", "person_id")
    # Two accounts have the domain: none is found, and the person keeps the one it had.
    assert rows["p-1"]["account_id"] == "a-1"
    assert rows["p-1"]["first_name"] == "Ada"
    assert rows["p-2"]["account_id"] == "a-1"


def test_opportunities_need_a_known_account(tenant: Caller) -> None:
    outcome = tenant.load(
        f"{DEAL_HEADER},Revenue\r\n"
        "o-1,Deal,Acme,acme.example,5\r\no-2,Deal,Nobody,nobody.example,5\r\n"
        "o-3,Deal,Acme,acme.example,much\r\n",
        entityType="Opportunity",
    )
    assert (outcome["added"], outcome["dropped"]) == (1, 2)
    assert records(tenant, "opportunities", "opportunity_id")["o-1"]["amount"] == "5"


def test_activities_are_added_to_known_people_each_time(tenant: Caller) -> None:
    content = (
        "External Person Id,Activity Date,Subject\r\n"
        "p-1,2026-01-01T00:00:00Z,hello\r\np-9,2026-01-01T00:00:00Z,lost\r\n"
    )
    for _ in range(2):
        outcome = tenant.load(content, entityType="Activity", activityTypeId=37)
        assert (outcome["added"], outcome["dropped"]) == (1, 1)
    rows = tenant.sandbox.rows("activities")
    assert [row["activity_type"] for row in rows] == ["web_visit"] * 2
    assert {row["account_id"] for row in rows} == {"a-1"}


def test_an_empty_cell_empties_the_field(tenant: Caller) -> None:
    tenant.load("Account Name,Account Domain,Employees\r\nAcme,acme.example,\r\n")
    assert records(tenant, "accounts", "account_id")["a-1"]["employee_count"] is None


def test_an_unknown_header_makes_a_field_and_a_documented_one_does_not(tenant: Caller) -> None:
    header = "Account Name,Account Domain,Owner,account name,Shoe Size"
    tenant.load(f"{header}\r\nAcme,acme.example,Ann,odd,42\r\n")
    assert tenant.sandbox.created_fields() == {"accounts": ["account name", "Shoe Size"]}
    row = records(tenant, "accounts", "account_id")["a-1"]
    assert (row["owner"], row["shoe_size"], row["name"]) == ("Ann", "42", "Acme")
    fields = {field["name"]: field["label"] for field in tenant.fields("account")}
    assert fields["{Account}.shoe_size"] == "Shoe Size"
    tenant.load("Account Name,Account Domain,Shoe Size\r\nAcme,acme.example,43\r\n")
    assert tenant.sandbox.created_fields() == {"accounts": ["account name", "Shoe Size"]}


def test_a_created_field_goes_with_the_next_reset(tenant: Caller) -> None:
    tenant.load("Account Name,Account Domain,Shoe Size\r\nAcme,acme.example,42\r\n")
    tenant.sandbox.reset()
    assert tenant.sandbox.created_fields() == {}
    assert "{Account}.shoe_size" not in {field["name"] for field in tenant.fields("account")}


@pytest.mark.parametrize(
    ("action", "members"),
    [
        (None, {"a-1"}),
        ("replace", {"a-1"}),
        ("insert", {"a-1", "a-2"}),
        ("delete", {"a-2"}),
        ("noop", {"a-2"}),
    ],
)
def test_the_list_action_changes_the_list_of_the_imports_name(
    tenant: Caller, action: str | None, members: set[str]
) -> None:
    name = "Sample account list 1"
    member = {"account_list_id": "1", "account_id": "a-2"}
    other = {"account_list_id": "2", "account_id": "a-3"}
    tenant.sandbox.put_rows("account_list_members", [member, other])
    job_id = tenant.create_import(dataImportName=name)
    content = b"Account Name,Account Domain\r\nAcme,acme.example\r\nNobody,nobody.example\r\n"
    parameters = {} if action is None else {"listAction": action}
    assert tenant.upload(job_id, content, **parameters).status_code == 200
    assert tenant.sandbox.import_jobs()[0]["list_action"] == (action or "replace")
    rows = tenant.sandbox.rows("account_list_members")
    assert {row["account_id"] for row in rows if row["account_list_id"] == "1"} == members
    assert {row["account_id"] for row in rows if row["account_list_id"] == "2"} == {"a-3"}
    assert tenant.sandbox.requests("uploadImportFile")[0].query == parameters


def test_an_import_of_another_name_creates_its_list(tenant: Caller) -> None:
    content = "Account Name,Account Domain\r\nAcme,acme.example\r\n"
    tenant.load(content, "insert", dataImportName="Brand new")
    tenant.load(content, "noop", dataImportName="Never there")
    lists = {row["account_list_name"] for row in tenant.sandbox.rows("account_lists")}
    assert "Brand new" in lists
    assert "Never there" not in lists


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("entityType=aCCOUNT", 2),
        ("state=new", 3),
        ("state=completed", 0),
        ("perPage=1", 1),
        ("perPage=2&page=2", 1),
    ],
)
def test_the_list_is_filtered_and_paged(api: Caller, query: str, count: int) -> None:
    ids = [api.create_import(entityType=name) for name in ("Account", "Person", "Account")]
    response = api("GET", f"{IMPORT}/jobs?{query}").json()
    assert len(response["data"]) == count
    if not query:
        assert [job["id"] for job in response["data"]] == ids[::-1]


@pytest.mark.parametrize("query", ["entityType=x", "state=done", "page=0", "perPage=x", "sort=up"])
def test_a_wrong_list_is_rejected(api: Caller, query: str) -> None:
    assert api("GET", f"{IMPORT}/jobs?{query}").json().keys() == {"message"}


def test_without_the_permission_everything_is_403() -> None:
    with Sandbox(SandboxOptions(import_permission=False)) as sandbox:
        response = Caller(sandbox)("GET", f"{IMPORT}/jobs")
        assert (response.status_code, response.json().keys()) == (403, {"status"})


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("Account", ["CSV", "HubSpot"]),
        ("Person", ["CSV", "HubSpot", "Webinars"]),
        ("Opportunity", ["CSV", "HubSpot"]),
        ("Activity", ["CSV", "HubSpot", "Webinars"]),
    ],
)
def test_each_entity_type_has_its_sources(api: Caller, kind: str, names: list[str]) -> None:
    assert api("GET", f"{IMPORT}/{kind}/sources").json() == {"data": names}
    assert api("GET", f"{IMPORT}/{kind.lower()}/sources").status_code == 400
    more = {"activityTypeId": 37} if kind == "Activity" else {}
    for name in names:
        api.create_import(entityType=kind, source=name, **more)
    body = {"dataImportName": "x", "entityType": kind, "source": "Webinars ", **more}
    assert api("POST", f"{IMPORT}/job", json=body).status_code == 400


def test_activity_types_can_be_listed_read_created_and_changed(api: Caller) -> None:
    path = f"{IMPORT}/activity_type"
    first = api("GET", path).json()[0]
    assert first == {
        "id": 37, "name": "web_visit", "description": "", "activitySource": "CSV",
    }  # fmt: skip
    field = {"fieldName": "Room", "fieldDataType": "string"}
    body = {"activityType": {"label": "Trade fair"}, "fields": [field]}
    created = api("POST", path, json=body).json()
    assert created == {"id": 42, "label": "Trade fair"}
    found = api("GET", f"{path}/42").json()
    assert found["activityType"]["name"] == "trade_fair"
    assert "Room" in {item["fieldName"] for item in found["fields"]}
    assert api("POST", path, json=body).status_code == 400
    changed = api("PUT", f"{path}/42", json={"activityType": {"label": "Fair"}})
    assert changed.json() == {"id": 42, "label": "Fair"}
    codes = [api("GET", f"{path}/{name}").status_code for name in ("99", "web_visit")]
    assert codes == [404, 400]
    assert api("POST", path, json={"activityType": {}}).json().keys() == {"message"}


def test_imports_can_fail_halfway_vanish_and_lose_their_response(tenant: Caller) -> None:
    tenant.sandbox.add_fault(Fault("createImportJob", Effect.JOB_FAILS, rows=1))
    header = f"{PERSON_HEADER}\r\n"
    outcome = tenant.load(header + "A,B,c@d,p-7\r\nA,B,c@d,p-8\r\n", entityType="Person")
    assert (outcome["status"], outcome["added"]) == ("failed", 1)
    job_id = tenant.create_import()
    tenant.sandbox.add_fault(Fault("uploadImportFile", Effect.DROP_AFTER))
    with pytest.raises(requests.ConnectionError):
        tenant.upload(job_id, b"Account Name,Account Domain\r\n")
    assert tenant("GET", f"{IMPORT}/job/{job_id}").json()["state"] == "completed"


def test_a_type_says_which_headers_its_activities_must_have(tenant: Caller) -> None:
    fields = [
        {"fieldName": "Room", "isRequiredForCsvImport": True},
        {"fieldName": "Speaker", "fieldDataType": "string"},
    ]
    body = {"activityType": {"label": "Trade fair"}, "fields": fields}
    kind = tenant("POST", f"{IMPORT}/activity_type", json=body).json()["id"]
    members = {"entityType": "Activity", "activityTypeId": kind}
    header, row = "External Person Id,Activity Date", "p-1,2026-01-01T00:00:00Z"
    assert tenant.load(f"{header}\r\n{row}\r\n", **members)["status"] == "failed"
    outcome = tenant.load(
        f"{header},Room,Speaker,Mood\r\n{row},7,Ada,good\r\n{row},,Ada,good\r\n", **members
    )
    assert (outcome["added"], outcome["dropped"], outcome["created_fields"]) == (1, 1, ["Mood"])


def test_people_have_a_spelling_of_their_own_for_the_id_of_an_account(tenant: Caller) -> None:
    for number, label in enumerate(("External Account Id", "External Account ID")):
        outcome = tenant.load(
            f"{PERSON_HEADER},{label}\r\nA,B,a@b,new-{number},a-2\r\n", entityType="Person"
        )
        assert outcome["created_fields"] == [label][:number]
    rows = records(tenant, "people", "person_id")
    assert (rows["new-0"]["account_id"], rows["new-1"]["account_id"]) == ("a-2", None)


def test_a_source_has_labels_of_its_own(tenant: Caller) -> None:
    content = f"{PERSON_HEADER},Job Title\r\nAda,L,a@b,p-2,Countess\r\n"
    outcome = tenant.load(content, entityType="Person", source="HubSpot")
    assert (outcome["added"], outcome["created_fields"]) == (1, [])
    assert records(tenant, "people", "person_id")["p-2"]["title"] == "Countess"
    outcome = tenant.load(content, entityType="Person")
    assert outcome["created_fields"] == ["Job Title"]


def test_labels_of_a_source_may_fill_the_fields_that_a_file_must_have(tenant: Caller) -> None:
    tenant.sandbox.map_source("HubSpot", "account", {"Company": "name", "Title": "name"})
    for header, status in (("Company", "completed"), ("Company,Title", "failed")):
        cells = ",".join("Acme" for _ in header.split(","))
        content = f"{header},Account Domain\r\n{cells},acme.example\r\n"
        assert tenant.load(content, source="HubSpot")["status"] == status


def test_the_sources_can_be_read_with_their_field_mappings(api: Caller) -> None:
    listed = api("GET", SOURCES).json()
    assert (listed["totalCount"], [item["name"] for item in listed["data"]]) == (
        3, ["CSV", "HubSpot", "Webinars"],
    )  # fmt: skip
    assert listed["data"][1].keys() == SOURCE
    custom = api("GET", f"{SOURCES}?group=custom&page=2&perPage=1").json()
    assert (custom["totalCount"], [item["name"] for item in custom["data"]]) == (2, ["Webinars"])
    assert api("GET", f"{SOURCES}/2").json() == listed["data"][1]
    mapped = api("GET", f"{SOURCES}/2/field-mappings/person").json()["fieldMappings"]
    assert mapped[-1] == {
        "sourceFieldLabel": "hs_score",
        "demandbaseFieldName": "lead_score",
        "dataType": "integer",
    }
    assert mapped[-1].keys() == FIELD_MAPPING
    assert api("GET", f"{SOURCES}/3/field-mappings/account").json() == {"fieldMappings": []}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "?group=mine", 400),
        ("GET", "?page=0", 400),
        ("GET", "?surprise=1", 400),
        ("GET", "/9", 404),
        ("GET", "/x", 400),
        ("GET", "/2/field-mappings/Person", 400),
        ("GET", "/9/field-mappings/person", 404),
        ("PUT", "/2/field-mappings/person", 404),
        ("POST", "", 404),
        ("DELETE", "/2", 404),
    ],
)
def test_errors_of_sources_have_the_shape_that_is_published(
    api: Caller, method: str, path: str, status: int
) -> None:
    response = api(method, SOURCES + path)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, f"{status}-000")
    assert error.keys() == STRUCTURED_ERROR
