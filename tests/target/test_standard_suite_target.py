"""The SDK's own suite against the sample tenant, with assertions on the rows that land."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from singer_sdk.testing import SuiteConfig, TargetTestRunner
from singer_sdk.testing.suites import target_tests

from demandbase_sandbox import Sandbox
from target_demandbase.errors import MappingError
from target_demandbase.target import TargetDemandbase

pytestmark = pytest.mark.thorough

STREAMS = (
    "test_array_data", "TestCamelcase", "ForecastingTypeToCategory", "test_duplicate_records",
    "test_strings", "test_strings_in_objects", "test_strings_in_arrays", "test_invalid_schema",
    "test_no_pk", "test_optional_attributes", "example_stream", "test_record_before_schema",
    "record_missing_fields", "test_record_missing_key_property", "test_schema_updates",
    "test_object_schema_with_properties", "test_object_schema_no_properties",
    "test:SpecialChars!in?attributes",
)  # fmt: skip
FIELDS = {
    "id": "domain", "Id": "domain", "_id": "domain", "fruits": "notes", "info": "notes",
    "strings": "notes", "metric": "engagement_score", "optional": "notes", "clientName": "name",
}  # fmt: skip
LANDED: dict[str, dict[str, dict[str, str | None]]] = {
    "array_data": {"1": {"notes": '["apple","orange","pear"]'}},
    "camelcase": {"1": {"name": "Gitter Windows Desktop App"}},
    "duplicate_records": {"1": {"engagement_score": "100"}, "2": {"engagement_score": "20"}},
    "no_primary_keys": {"1": {"engagement_score": "11"}},
    "optional_attributes": {"1": {"notes": "This is optional"}, "2": {"notes": None}},
    "record_missing_fields": {"1": {"notes": "now you see me"}, "2": {"notes": None}},
}
# Streams whose required field nothing can fill are refused before any record.
REFUSED = {"schema_no_properties"}


@pytest.fixture
def runner(sandbox: Sandbox) -> Iterator[TargetTestRunner]:
    config = {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "entity_map": dict.fromkeys(STREAMS, "accounts"),
        "match_keys": {"accounts": "domain"},
        "field_mappings": {"accounts": FIELDS},
        "unknown_fields": "drop",
    }
    runner = TargetTestRunner(TargetDemandbase, config=config, suite_config=SuiteConfig())
    yield runner
    if runner._input is not None:  # noqa: SLF001 - the SDK leaves its file open
        runner._input.close()  # noqa: SLF001


@pytest.mark.parametrize("test", target_tests.tests, ids=lambda test: test.name)
def test_the_target_passes_the_suite(
    sandbox: Sandbox,
    runner: TargetTestRunner,
    test: Any,  # noqa: ANN401
) -> None:
    if test.name in REFUSED:
        with pytest.raises(MappingError):
            test().run(SuiteConfig(), None, runner)
        assert not sandbox.import_jobs()
        return
    test().run(SuiteConfig(), None, runner)
    rows = {row["domain"]: row for row in sandbox.rows("accounts")}
    for domain, cells in LANDED.get(test.name, {}).items():
        assert {name: rows[domain][name] for name in cells} == cells
    assert all(job["status"] == "completed" for job in sandbox.import_jobs())
    assert all(job["error_count"] == 0 for job in sandbox.import_jobs())


def test_encoded_strings_land_as_they_are(sandbox: Sandbox, runner: TargetTestRunner) -> None:
    suite = next(test for test in target_tests.tests if test.name == "encoded_string_data")
    test = suite()
    test.run(SuiteConfig(), None, runner)
    text = test.singer_filepath.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    sent = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    last = {
        str(message["record"]["id"]): message["record"]["strings"]
        for message in sent
        if message["type"] == "RECORD" and message["stream"] == "test_strings_in_arrays"
    }
    rows = {row["domain"]: row["notes"] for row in sandbox.rows("accounts")}
    assert last
    for domain, strings in last.items():
        assert json.loads(rows[domain] or "") == strings
