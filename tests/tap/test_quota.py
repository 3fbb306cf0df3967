"""The day's quota is used up: the run ends with what is done, or waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from demandbase_api.errors import DownloadError
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


@both_apis
def test_too_many_creations_are_waited_for_if_the_server_says_how_long(
    sandbox: Sandbox, sync: Sync
) -> None:
    headers = {"Retry-After": "890"}
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, headers=headers))
    started = sandbox.clock.now()
    assert len(sync("campaigns").records("campaigns")) == 20
    assert (sandbox.clock.now() - started).total_seconds() >= 890
    assert len(sandbox.requests("createExportJob")) == 2


@both_apis
def test_too_many_creations_after_the_wait_are_a_used_up_quota(
    sandbox: Sandbox, sync: Sync
) -> None:
    headers = {"Retry-After": "890"}
    fault = Fault("createExportJob", Effect.STATUS, status=429, headers=headers, times=None)
    sandbox.add_fault(fault)
    sync("campaigns", failure=QuotaStopError)
    assert len(sandbox.requests("createExportJob")) == 2


@both_apis
def test_a_download_that_is_rejected_by_the_rate_limit_may_work_later(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=429, times=None))
    with pytest.raises(DownloadError, match="asked for fewer calls") as caught:
        sync("campaigns")
    assert caught.value.exit_code == 75
