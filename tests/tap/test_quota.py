"""The day's quota is used up: the run ends with what is done, or waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.errors import QuotaStopError
from tests.tap.conftest import both_apis

Sync = Callable[..., Any]


@both_apis
def test_the_quota_ends_the_run_with_what_is_done_and_what_remains(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, after=2, times=None))
    output = sync("accounts", "campaigns", "opportunities", "people", failure=QuotaStopError)
    assert {"accounts", "campaigns"} <= output.state.keys()
    assert len(output.records("campaigns")) == 20
    assert output.state["opportunities"] == {}
    with pytest.raises(QuotaStopError) as caught:
        sync("campaigns", "people")
    sentence = str(caught.value)
    assert "The quota is daily" in sentence or "restarts at midnight UTC" in sentence
    assert "0 of 2 streams are done; remaining: campaigns, people" in sentence
    assert caught.value.exit_code == 75


@both_apis
def test_the_tap_waits_for_a_new_quota_if_set_to(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=8))
    started = sandbox.clock.now()
    with caplog.at_level("INFO"):
        assert len(sync("campaigns", quota_wait_hours=3).records("campaigns")) == 20
    assert (sandbox.clock.now() - started).total_seconds() > 3600
    assert caplog.text.count("Waiting for a new quota") > 60


@both_apis
def test_the_wait_for_a_quota_has_an_end(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
    started = sandbox.clock.now()
    sync("campaigns", quota_wait_hours=2, failure=QuotaStopError)
    assert 7200 <= (sandbox.clock.now() - started).total_seconds() < 7300
