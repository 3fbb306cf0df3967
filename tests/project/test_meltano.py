from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import settings_docs
import yaml
from shared_install import copy_project, installed, share_plugins

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.command_process import run_command
from tests.meltano_project import meltano
from tests.s3_server import BUCKET, CREDENTIALS, s3_server

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
KINDS = {"number": "decimal", "string": "string", "integer": "integer", "boolean": "boolean",
         "array": "array", "object": "object"}  # fmt: skip


def plugin(kind: str, name: str) -> dict[str, Any]:
    return next(item for item in PROJECT["plugins"][kind] if item["name"] == name)


@pytest.mark.parametrize("name", settings_docs.PLUGINS)
def test_the_definitions_are_as_make_settings_writes_them(name: str) -> None:
    definition = settings_docs.definition_file(name)
    assert definition.read_text(encoding="utf-8") == settings_docs.definition_text(name)
    project = (ROOT / "meltano.yml").read_text(encoding="utf-8")
    assert settings_docs.with_definitions(project) == project


@pytest.mark.parametrize("name", settings_docs.PLUGINS)
def test_the_definitions_match_about(name: str) -> None:
    declared = yaml.safe_load(settings_docs.definition_file(name).read_text(encoding="utf-8"))
    here = plugin(settings_docs.PLUGINS[name], name)
    assert here == {key: value for key, value in declared.items() if key != "pip_url"}
    done = run_command(name, "--about", "--format=json")
    info = json.loads(done.stdout)
    assert declared["capabilities"] == info["capabilities"]
    groups = [group["required"] for group in info["settings"]["anyOf"]]
    assert declared["settings_group_validation"] == groups
    settings = {item["name"]: item for item in declared["settings"]}
    assert list(settings) == list(info["settings"]["properties"])
    for setting, schema in info["settings"]["properties"].items():
        item = settings[setting]
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        expected = "options" if schema.get("enum") else KINDS[next(t for t in types if t != "null")]
        expected = "date_iso8601" if setting in {"start_date", "end_date"} else expected
        assert item["kind"] == expected, setting
        assert item["label"] == schema["title"], setting
        assert item["description"] == schema["description"], setting
        assert item.get("sensitive", False) == schema.get("secret", False), setting
        assert item.get("value") == schema.get("default"), setting
        if schema.get("enum"):
            values = [option["value"] for option in item["options"]]
            assert values == [value for value in schema["enum"] if value is not None]
    assert "value" not in settings["api"]  # the credentials choose


@pytest.fixture(scope="module")
def installed_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("meltano")
    copy_project(ROOT, folder)
    with installed(ROOT, lambda: meltano(ROOT, {}, "install", "--clean")):
        share_plugins(ROOT, folder)
        yield folder


@pytest.fixture
def project(installed_project: Path) -> Path:
    """The project; target-jsonl appends to the files of an earlier run."""
    output = installed_project / "output"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    return installed_project


def settings_for(sandbox: Sandbox) -> dict[str, str]:
    return {
        "TAP_DEMANDBASE_API_URL": sandbox.url,
        "TAP_DEMANDBASE_ACCESS_TOKEN": sandbox.token,
        "TAP_DEMANDBASE__SELECT": '["campaigns.*", "export_jobs.*"]',
    }


@pytest.mark.slow
def test_meltano_run_keeps_state_between_two_runs(
    sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    environment = {**settings_for(sandbox), "MELTANO_STATE_BACKEND_URI": tmp_path.as_uri()}
    values = []
    for _ in range(2):
        meltano(project, environment, "run", "tap-demandbase", "target-jsonl")
        [kept] = tmp_path.rglob("state.json")
        bookmarks = json.loads(kept.read_text())["completed"]["singer_state"]["bookmarks"]
        values.append(bookmarks["export_jobs"]["replication_key_value"])
    assert values[0] < values[1]
    assert all(value.endswith("Z") for value in values)
    assert len(sandbox.requests("createExportJob")) == 2


@pytest.mark.slow
def test_meltano_keeps_the_state_of_all_machines_in_a_bucket(
    sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    copy_project(ROOT, other)
    share_plugins(project, other)
    (other / "output").mkdir()
    with s3_server() as server:
        environment = {
            **settings_for(sandbox),
            **server.variables,
            "MELTANO_STATE_BACKEND_URI": f"s3://{BUCKET}/meltano",
            "MELTANO_STATE_BACKEND_S3_ENDPOINT_URL": server.address,
            "MELTANO_STATE_BACKEND_S3_AWS_ACCESS_KEY_ID": CREDENTIALS["AWS_ACCESS_KEY_ID"],
            "MELTANO_STATE_BACKEND_S3_AWS_SECRET_ACCESS_KEY": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            "TAP_DEMANDBASE_STATE_DIR": f"s3://{BUCKET}/demandbase",
            "TAP_DEMANDBASE_STREAM_OPTIONS": '{"campaigns": {"replication_key": "updated_at"}}',
        }
        for folder in (project, other):
            meltano(folder, environment, "run", "tap-demandbase", "target-jsonl")
    first, second = sandbox.requests("createExportJob")
    assert "filters" not in first.body
    assert second.body["filters"]["date_range"]["start"]


@pytest.mark.slow
def test_the_catalog_that_meltano_dumps_saves_a_run_the_field_calls(
    sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    environment = {
        "TAP_DEMANDBASE_API": "uapi",
        "TAP_DEMANDBASE_API_URL": sandbox.uapi_url,
        "TAP_DEMANDBASE_CLIENT_ID": sandbox.client_id,
        "TAP_DEMANDBASE_CLIENT_SECRET": sandbox.client_secret,
        "TAP_DEMANDBASE_DISCOVERY_CACHE_HOURS": "0",
        "TAP_DEMANDBASE__SELECT": '["accounts.*", "people.*"]',
    }
    dumped = meltano(project, environment, "invoke", "--dump=catalog", "tap-demandbase").stdout
    catalog = project / "catalog.json"
    catalog.write_text(dumped, encoding="utf-8")
    sandbox.clear_requests()
    fresh = {"TAP_DEMANDBASE_SPOOL_DIR": str(tmp_path / "fresh")}
    with_catalog = {"TAP_DEMANDBASE__CATALOG": catalog.name}
    meltano(project, environment | fresh | with_catalog, "run", "tap-demandbase", "target-jsonl")
    assert sandbox.requests("fetchFields") == []
    assert len(sandbox.requests("createExportJob")) == 2


@pytest.mark.slow
def test_credentials_alone_export_what_needs_no_setting(
    sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    """Meltano selects all streams that discovery finds."""
    environment = {
        "TAP_DEMANDBASE_API_URL": sandbox.uapi_url,
        "TAP_DEMANDBASE_CLIENT_ID": sandbox.client_id,
        "TAP_DEMANDBASE_CLIENT_SECRET": sandbox.client_secret,
        "XDG_STATE_HOME": str(tmp_path),
    }
    done = meltano(project, environment, "run", "tap-demandbase", "target-jsonl")
    streams = ("accounts", "people", "opportunities", "buying_groups", "buying_group_members")
    for stream in streams:
        lines = (project / "output" / f"{stream}.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == len(sandbox.rows(stream)) > 0
    assert (project / "output" / "reference_persona.jsonl").is_file()
    said = done.stdout + done.stderr
    assert "campaigns and creatives (ad_report_type), account_list_members (account_lis" in said
    assert "Stream activities begins on" in said


@pytest.mark.slow
def test_another_api_needs_only_other_settings(
    sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    environment = {
        "TAP_DEMANDBASE_API": "uapi",
        "TAP_DEMANDBASE_API_URL": sandbox.uapi_url,
        "TAP_DEMANDBASE_CLIENT_ID": sandbox.client_id,
        "TAP_DEMANDBASE_CLIENT_SECRET": sandbox.client_secret,
        "TAP_DEMANDBASE_SPOOL_DIR": str(tmp_path / "spool"),
        "TAP_DEMANDBASE__SELECT": '["accounts.*", "export_jobs.*"]',
    }
    meltano(project, environment, "run", "tap-demandbase", "target-jsonl")
    [request] = sandbox.requests("createExportJob")
    assert request.body["entityType"] == "account"
    lines = (project / "output" / "accounts.jsonl").read_text(encoding="utf-8").splitlines()
    names = {json.loads(line)["name"] for line in lines}
    assert names == {row["name"] for row in sandbox.rows("accounts")}


def both_ways(sandbox: Sandbox, api: str, folder: Path) -> dict[str, str]:
    """Settings that export the accounts of a tenant and import them again."""
    credentials = {
        "v1": {"API_URL": sandbox.url, "ACCESS_TOKEN": sandbox.token},
        "uapi": {
            "API_URL": sandbox.uapi_url,
            "CLIENT_ID": sandbox.client_id,
            "CLIENT_SECRET": sandbox.client_secret,
        },
    }[api]
    labels = {"name": "Account Name", "domain": "Account Domain"}
    mappings = {"v1": {}, "uapi": {"accounts": labels}}[api]
    return {
        **{
            f"{plugin}_DEMANDBASE_{name}": value
            for plugin in ("TAP", "TARGET")
            for name, value in {**credentials, "API": api, "SPOOL_DIR": str(folder / api)}.items()
        },
        "TAP_DEMANDBASE__SELECT": '["accounts.name", "accounts.domain"]',
        "TARGET_DEMANDBASE_FIELD_MAPPINGS": json.dumps(mappings),
        "TARGET_DEMANDBASE_MATCH_KEYS": {"v1": '{"accounts": "domain"}', "uapi": "{}"}[api],
        "TARGET_DEMANDBASE_UNKNOWN_FIELDS": "drop",
        "TARGET_DEMANDBASE_ON_REJECT": "continue",
        "TARGET_DEMANDBASE_REJECTS_PATH": str(folder / f"rejects-{api}"),
    }


@pytest.mark.slow
def test_both_directions_switch_to_the_other_api_by_settings_only(
    sandbox: Sandbox, project: Path, tmp_path: Path
) -> None:
    before = {row["account_id"]: (row["domain"], row["name"]) for row in sandbox.rows("accounts")}
    whole = [names for names in before.values() if all(names)]
    for api in ("v1", "uapi"):
        meltano(
            project, both_ways(sandbox, api, tmp_path), "run", "tap-demandbase", "target-demandbase"
        )
        [report] = (tmp_path / f"rejects-{api}").glob("report-*.json")
        figures = json.loads(report.read_text(encoding="utf-8"))["streams"]["accounts"]
        assert figures["rows_sent"] >= len(whole)
    after = {row["account_id"]: (row["domain"], row["name"]) for row in sandbox.rows("accounts")}
    assert after == before
    # The jobs of v1 are listed first.
    v1, uapi = (sandbox.uploaded(job["id"]).splitlines()[0] for job in sandbox.import_jobs())
    assert set(v1.split(b",")) == {b'"account_id"', b'"domain"', b'"name"'}
    assert set(uapi.split(b",")) == {b'"Account Domain"', b'"Account Name"'}
    assert sandbox.created_fields() == {}


def test_a_failed_tap_fails_meltano_el_with_the_reason(sandbox: Sandbox, project: Path) -> None:
    environment = settings_for(sandbox)
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
    done = meltano(project, environment, "el", "tap-demandbase", "target-jsonl", code=1)
    assert "the quota is used up" in done.stdout + done.stderr
    assert sandbox.token not in done.stdout + done.stderr
