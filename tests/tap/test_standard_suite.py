"""The SDK's own suite over the sample tenant, with the assertions that it leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from singer_sdk.testing import SuiteConfig, TapTestRunner
from singer_sdk.testing.suites import (
    tap_stream_attribute_tests,
    tap_stream_tests,
    tap_tests,
)

from demandbase_sandbox import Sandbox
from tap_demandbase.tap import TapDemandbase

pytestmark = pytest.mark.thorough

BULK = ("accounts", "activities", "buying_groups", "campaigns", "opportunities", "people")


@pytest.fixture(scope="module")
def runner(running_sandbox: Sandbox) -> TapTestRunner:
    running_sandbox.reset()
    config = {"api_url": running_sandbox.url, "access_token": running_sandbox.token}
    runner = TapTestRunner(TapDemandbase, config=config, suite_config=SuiteConfig())
    runner.sync_all()
    return runner


@pytest.mark.parametrize("test", tap_tests.tests, ids=lambda test: test.name)
def test_the_tap_passes_the_suite(runner: TapTestRunner, test: Any) -> None:  # noqa: ANN401
    test().run(SuiteConfig(), None, runner)


@pytest.mark.parametrize("test", tap_stream_tests.tests, ids=lambda test: test.name)
@pytest.mark.parametrize("name", BULK)
def test_a_stream_passes_the_suite(runner: TapTestRunner, test: Any, name: str) -> None:  # noqa: ANN401
    stream = runner.new_tap().streams[name]
    test().run(SuiteConfig(), None, runner, stream)


@pytest.mark.parametrize("test", tap_stream_attribute_tests.tests, ids=lambda test: test.name)
@pytest.mark.parametrize("name", BULK)
def test_each_attribute_passes_the_suite(runner: TapTestRunner, test: Any, name: str) -> None:  # noqa: ANN401
    stream = runner.new_tap().streams[name]
    for attribute, schema in stream.schema["properties"].items():
        if test.evaluate(stream=stream, property_name=attribute, property_schema=schema):
            test().run(SuiteConfig(), None, runner, stream, attribute)


@pytest.mark.parametrize("name", BULK)
def test_keys_are_unique_and_there(runner: TapTestRunner, name: str) -> None:
    key = runner.new_tap().streams[name].primary_keys
    assert key
    values = [tuple(record[field] for field in key) for record in runner.records[name]]
    assert values
    assert len(set(values)) == len(values)
    assert not any(None in value for value in values)


def test_the_final_state_holds_no_marker_at_any_depth(runner: TapTestRunner) -> None:
    assert "progress_markers" not in str(runner.state_messages[-1])


def test_the_suite_ran_over_the_history_streams_too(runner: TapTestRunner) -> None:
    assert set(runner.records) == {*BULK, "export_jobs", "field_mappings"}
