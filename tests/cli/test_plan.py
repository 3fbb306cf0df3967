from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.ports import Apis
from demandbase_cli.settings import Settings
from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.config import export_journal
from tap_demandbase.export_plan import plan_exports
from tests.cli.conftest import Demandbase


@pytest.fixture
def select(demandbase: Demandbase, tmp_path: Path) -> Any:  # noqa: ANN401
    """Returns the options for a catalog that selects some streams."""

    def write(*streams: str) -> list[str]:
        catalog = demandbase("catalog").json
        for entry in catalog["streams"]:
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in streams
        path = tmp_path / "catalog.json"
        path.write_text(json.dumps(catalog))
        return ["--catalog", str(path)]

    return write


def change_settings(config_file: str, **settings: Any) -> None:  # noqa: ANN401
    path = Path(config_file)
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_a_plan_creates_no_job_and_says_what_a_run_needs(
    demandbase: Demandbase,
    sandbox: Sandbox,
    select: Any,  # noqa: ANN401
    api: str,
) -> None:
    options = select("accounts", "people")
    found = demandbase("plan", *options, "--json").json
    assert [job["stream"] for job in found["jobs"]] == ["accounts", "people"]
    assert found["new_jobs_at_least"] == 2
    assert not sandbox.requests("createExportJob")
    out = demandbase("plan", *options)
    assert "Stream Jobs From To New Adopted Says" in out.words
    if api == "v1":
        assert found["calls"] == []
        assert "no known daily limit" in out.out
    else:
        calls = {line["call"]: line for line in found["calls"]}
        assert calls["create an export job"] == {
            "call": "create an export job", "needed": 2, "left": 60, "limit": 60,
        }  # fmt: skip


def test_the_jobs_to_adopt_are_named(
    demandbase: Demandbase,
    apis: Apis,
    sandbox: Sandbox,
    config_file: str,
    select: Any,  # noqa: ANN401
) -> None:
    options = select("accounts")
    tap = Settings([config_file]).tap(json.loads(Path(options[1]).read_text()))
    tap.setup_mapper()
    [stream] = plan_exports(tap.streams.values())
    request = stream.exports[0].task.request
    sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
    job = apis.exports.submit(request)
    journal: ExportJournal = export_journal(tap.config)
    journal.begin(request, job.id)
    found = demandbase("plan", *options, "--json").json
    assert found["jobs"][0]["adopts"] == job.id
    assert found["new_jobs_at_least"] == 0
    assert f"accounts {job.id} processing" in demandbase("plan", *options).words


def test_windows_and_states_are_jobs(
    demandbase: Demandbase,
    config_file: str,
    select: Any,  # noqa: ANN401
    tmp_path: Path,
    api: str,
) -> None:
    stream, key = {"v1": ("people", "updated_at"), "uapi": ("people", None)}[api]
    if key is None:
        catalog = demandbase("catalog").json
        [entry] = [it for it in catalog["streams"] if it["tap_stream_id"] == stream]
        key = next(
            name for name, rule in entry["schema"]["properties"].items()
            if rule.get("format") == "date-time"
        )  # fmt: skip
    change_settings(
        config_file,
        start_date="2025-01-01",
        end_date="2025-01-31",
        window_days=10,
        stream_options={stream: {"replication_key": key}},
    )
    options = select(stream)
    found = demandbase("plan", *options, "--json").json
    assert [(job["from"], job["to"]) for job in found["jobs"]] == [
        ("2025-01-01", "2025-01-11"), ("2025-01-11", "2025-01-21"), ("2025-01-21", "2025-01-31"),
    ]  # fmt: skip
    mark = {"replication_key": key, "replication_key_value": "2025-01-29T00:00:00.000000Z"}
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"bookmarks": {stream: mark}}))
    found = demandbase("plan", *options, "--state", str(state), "--json").json
    assert [job["from"] for job in found["jobs"]] == ["2025-01-26"]
    state.write_text("{")
    assert (
        "The state is not JSON" in demandbase("plan", *options, "--state", str(state), code=1).err
    )


FOUR = ("accounts", "people", "opportunities", "activities")
ALL_OPTIONS = {
    "campaigns": {"ad_report_type": "summary"},
    "creatives": {"ad_report_type": "performance"},
    "account_list_members": {"account_list_ids": [1]},
    "person_list_members": {"person_list_ids": [1]},
}
ALL = (*FOUR, "buying_groups", "buying_group_members", *ALL_OPTIONS)
RECENT = (datetime.now(UTC).date() - timedelta(days=9)).isoformat()


def test_the_runs_that_a_day_allows_are_a_sentence(
    demandbase: Demandbase,
    select: Any,  # noqa: ANN401
    api: str,
) -> None:
    shown = demandbase("plan", *select(*FOUR)).words
    said = (
        "Once this run is complete, each further one takes at least 4 jobs: the calls of a day "
        "allow 15 such runs, one every 1 h 36 min."
    )
    assert (said in shown) is (api == "uapi")


@pytest.mark.parametrize(
    ("streams", "settings", "jobs", "runs"),
    [
        # The first run of activities takes several jobs, a later one takes one.
        (FOUR, {"start_date": "2024-01-01"}, 4, 15),
        (("activities",), {"start_date": RECENT, "window_days": 1}, 3, 20),
        ((*FOUR, "buying_groups", "buying_group_members"), {}, 7, 8),
        (ALL, {"stream_options": ALL_OPTIONS}, 11, 5),
        (("activities",), {"end_date": "2024-01-01"}, 0, None),
    ],
)
def test_the_runs_that_a_day_allows(
    demandbase: Demandbase,
    config_file: str,
    select: Any,  # noqa: ANN401
    api: str,
    streams: tuple[str, ...],
    settings: dict[str, Any],
    jobs: int,
    runs: int | None,
) -> None:
    if api == "v1":
        return
    change_settings(config_file, **settings)
    found = demandbase("plan", *select(*streams), "--json").json
    assert (found["later_jobs_at_least"], found["runs_a_day_at_most"]) == (jobs, runs)


def test_a_selection_that_a_day_does_not_allow(
    demandbase: Demandbase,
    config_file: str,
    select: Any,  # noqa: ANN401
    api: str,
) -> None:
    if api == "v1":
        return
    settings = {"start_date": "2026-01-01", "window_days": 1, "lookback_days": 100}
    change_settings(config_file, **settings)
    done = demandbase("plan", *select("activities"), code=75)
    assert "which is more than the calls of a day allow: select fewer streams." in done.words


def test_a_stream_that_cannot_be_exported_is_named(
    demandbase: Demandbase,
    select: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"bookmarks": {"accounts": 1}}))
    options = select("accounts", "people")
    done = demandbase("plan", *options, "--state", str(state), "--json", code=1)
    assert "These streams cannot be exported: accounts." in done.err
    assert "it must be an object" in done.json["failed"]["accounts"]
    assert [job["stream"] for job in done.json["jobs"]] == ["people"]


def test_too_few_calls_are_the_exit_code_of_the_run(
    demandbase: Demandbase,
    select: Any,  # noqa: ANN401
    api: str,
) -> None:
    if api == "v1":
        return
    options = select("accounts")
    folder = next(Path(options[1]).parent.glob("state"))
    [counts] = folder.glob("demandbase-calls-*.json")
    content = json.loads(counts.read_text())
    content["calls"]["CREATE_EXPORT"] = 60
    counts.write_text(json.dumps(content))
    done = demandbase("plan", *options, code=75)
    assert "Too few of the day's calls are left: to create an export job." in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "The file of --catalog is not JSON"),
        ("[]", "The catalog cannot be used: it must be an object"),
        ("7", "The catalog cannot be used: it must be an object"),
        ("null", "The catalog cannot be used: it must be an object"),
        ('{"streams": {}}', "its member streams must be a list"),
        ('{"streams": [{}]}', "each of its streams must have a tap_stream_id"),
        ('{"streams": [{"tap_stream_id": "people", "schema": 7}]}', "a schema and metadata"),
        ('{"streams": [{"tap_stream_id": "people", "metadata": [7]}]}', "must have a breadcrumb"),
    ],
)
def test_an_odd_catalog_ends_in_a_sentence(
    demandbase: Demandbase, sandbox: Sandbox, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(text)
    assert words in demandbase("plan", "--catalog", str(path), code=1).err
    assert not sandbox.requests()


def test_a_state_may_be_as_meltano_prints_it(
    demandbase: Demandbase,
    select: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.json"
    options = [*select("people"), "--state", str(path)]
    path.write_text('{"singer_state": {"bookmarks": {}}}')
    assert demandbase("plan", *options, "--json").json["new_jobs_at_least"] == 1
    path.write_text('{"singer_state": {"bookmarks": {"people": 7}}}')
    assert "cannot be exported: people" in demandbase("plan", *options, code=1).err
    path.write_text("")
    assert "The state is not JSON" in demandbase("plan", *options, code=1).err
