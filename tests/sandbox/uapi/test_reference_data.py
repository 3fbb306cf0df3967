from __future__ import annotations

from tests.sandbox.uapi.conftest import Caller
from tests.sandbox.uapi.published import EXPORT, REFERENCE_OBJECTS


def test_the_reference_objects_are_those_that_are_published(api: Caller) -> None:
    objects = api("GET", f"{EXPORT}/references").json()["refObjectsAvailable"]
    assert [item["name"] for item in objects] == list(REFERENCE_OBJECTS)
    for item in objects:
        found = api("GET", item["href"]).json()
        assert found["objectType"] == item["name"]
        assert found["data"]


def test_an_unknown_reference_object_is_rejected_by_its_code(api: Caller) -> None:
    response = api("GET", f"{EXPORT}/reference/Persona")
    assert (response.status_code, response.json()["errorCode"]) == (400, "400-154")
