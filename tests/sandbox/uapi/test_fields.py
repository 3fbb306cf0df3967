from __future__ import annotations

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions
from tests.sandbox.uapi.conftest import Caller
from tests.sandbox.uapi.published import DATA_TYPES, ENTITY_TYPES, ERROR, EXPORT

AD_TYPES = ("campaign", "creative")


@pytest.mark.parametrize("entity_type", ENTITY_TYPES)
def test_every_entity_type_describes_its_fields(api: Caller, entity_type: str) -> None:
    report = {"adReportType": "summary"} if entity_type in AD_TYPES else {}
    fields = api.fields(entity_type, **report)
    assert all(field.keys() == {"name", "dataType", "label", "description"} for field in fields)
    assert {field["dataType"] for field in fields} <= DATA_TYPES
    names = [field["name"] for field in fields]
    assert len(set(names)) == len(names)


def test_names_stand_behind_their_entity_in_braces(api: Caller) -> None:
    fields = {field["name"]: field for field in api.fields("account")}
    assert fields["{Account}.name"]["label"] == "Account Name"
    assert fields["{Account}.industry"]["dataType"] == "Picklist"
    assert fields["{Account}.id"]["dataType"] == "Long"


def test_fields_of_an_activity_are_of_several_entities(api: Caller) -> None:
    names = {field["name"] for field in api.fields("activity")}
    assert {"{Activity}.id", "{Account}.id", "{Person}.id"} <= names


def test_fields_of_ads_are_bare(api: Caller) -> None:
    names = {field["name"] for field in api.fields("campaign", adReportType="summary")}
    assert {"campaignId", "campaignName", "startDate", "endDate"} <= names


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "400-104"),
        ({"entityType": "planet"}, "400-125"),
        ({"entityType": "Account"}, "400-125"),
        ({"entityType": "campaign"}, "400-104"),
        ({"entityType": "creative"}, "400-104"),
        ({"entityType": "campaign", "adReportType": "nope"}, "400-139"),
        ({"entityType": "account", "adReportType": "summary"}, "400-139"),
        ({"entityType": "account", "limit": "5"}, "400-147"),
    ],
)
def test_wrong_parameters_are_rejected_by_their_code(
    api: Caller, parameters: dict[str, str], code: str
) -> None:
    response = api("GET", f"{EXPORT}/fields", params=parameters)
    assert (response.status_code, response.json().keys()) == (400, ERROR)
    assert response.json()["errorCode"] == code


def test_what_the_tenant_may_not_read_is_403_with_its_code() -> None:
    options = SandboxOptions(
        pending_seconds=0,
        processing_seconds=0,
        withheld_entities=frozenset({"creative"}),
        withheld_fields=frozenset({"{Account}.notes"}),
    )
    with Sandbox(options) as sandbox:
        api = Caller(sandbox)
        path = f"{EXPORT}/fields?entityType=creative&adReportType=summary"
        response = api("GET", path)
        assert (response.status_code, response.json()["errorCode"]) == (403, "403-101")
        assert "{Account}.notes" not in {field["name"] for field in api.fields("account")}
        body = {"entityType": "account", "jobName": "x", "fields": ["{Account}.notes"]}
        assert api.code(body) == "403-104"
        assert "{Account}.notes" not in api.export(entityType="account")[0]


def test_without_an_export_collection_nothing_is_exported() -> None:
    with Sandbox(SandboxOptions(export_collection=False)) as sandbox:
        api = Caller(sandbox)
        assert api.code({"entityType": "account", "jobName": "x"}) == "403-103"
        assert api("GET", f"{EXPORT}/fields?entityType=account").status_code == 403
