"""Settings that are mistyped, or that belong to the other plugin, in the commands of both."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.config import Api, api_url, chosen_api
from demandbase_api.settings_check import (
    OWN_SETTINGS,
    UNUSED_SDK_SETTINGS,
    unknown_variables,
    unread_variables,
)
from demandbase_sandbox import Sandbox
from tap_demandbase.tap import TapDemandbase
from target_demandbase.target import TargetDemandbase
from tests.command_process import run_command
from tests.http_server import http_server

pytestmark = pytest.mark.thorough

SCHEMA = {"properties": {"rows": {"type": ["integer"]}, "options": {"type": ["object", "null"]}}}
both_apis = pytest.mark.parametrize("api", ["v1", "uapi"])
both_plugins = pytest.mark.parametrize("plugin", ["tap-demandbase", "target-demandbase"])
PEOPLE = json.dumps(
    {
        "type": "SCHEMA",
        "stream": "people",
        "key_properties": ["email"],
        "schema": {"properties": {"email": {"type": "string"}}},
    }
)


def address(sandbox: Sandbox, api: str) -> dict[str, Any]:
    if api == "v1":
        return {"api_url": sandbox.url, "access_token": sandbox.token}
    return {
        "api_url": sandbox.uapi_url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.chdir(tmp_path)

    def start(
        plugin: str, api: str = "v1", *, text: str = "", variables: dict[str, str] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        config = {**address(sandbox, api), "state_dir": str(tmp_path), **settings}
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        arguments = ["--discover"] if plugin == "tap-demandbase" else []
        return run_command(plugin, f"--config={file}", *arguments, text=text, **(variables or {}))

    return start


def test_the_settings_of_one_plugin_only_are_listed() -> None:
    found = {}
    for plugin in (TapDemandbase, TargetDemandbase):
        schema = plugin.config_jsonschema
        plugin.append_builtin_config(schema)
        found[plugin.name] = set(schema["properties"])
    tap, target = found["tap-demandbase"], found["target-demandbase"]
    assert {"tap-demandbase": tap - target, "target-demandbase": target - tap} == OWN_SETTINGS


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"on_rejects": "s3cret"}, "the setting on_rejects is unknown (near: on_reject)."),
        ({"dryRun": True}, "the setting dryRun is unknown (near: dry_run)."),
        ({"acces_token": "s3cret"}, "acces_token is unknown (near: access_token)."),
        ({"s": "s3cret"}, "the setting s is unknown. Correct it"),
        ({"acces_token": "", "api_url": "s3cret"}, "api_url must begin with https:// or http://;"),
        (
            {"stream_options": {"a": {"b": 1}}, "start_date": "s3cret"},
            "start_date must be a date such as 2026-01-31",
        ),
        ({"acces_token": "", "on_rejects": ""}, "on_rejects is unknown (near: on_reject)."),
        (
            {"stream_options": {"crm": {"lokback_days": 3, "c": ["s3cret"]}}},
            "lokback_days is unknown (near: lookback_days); the setting stream_options.crm.c is",
        ),
        (
            {"batch_config": {"storage": {"rot": "s3cret", "root": "x"}}},
            "batch_config.storage.rot is unknown (near: root).",
        ),
    ],
)
@both_apis
def test_an_unknown_setting_is_refused_with_the_nearest_name(
    run: Any,  # noqa: ANN401
    sandbox: Sandbox,
    api: str,
    settings: dict[str, Any],
    said: str,
) -> None:
    is_of_tap = {"stream_options", "batch_config", "acces_token"} & settings.keys()
    done = run("tap-demandbase" if is_of_tap else "target-demandbase", api, **settings)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert said in last
    assert "Config validation failed" not in done.stderr
    assert "s3cret" not in done.stderr
    assert not sandbox.requests()


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("entity_map", {"crm": "peple"}, "entity_map.crm names peple (near: people)"),
        ("match_keys", {"acounts": "domain"}, "match_keys names acounts (near: accounts)"),
        ("field_mappings", {"People": {"a": "b"}}, "field_mappings names People (near: people)"),
    ],
)
def test_an_unknown_entity_is_refused_with_the_nearest_name(
    run: Any,  # noqa: ANN401
    setting: str,
    value: Any,  # noqa: ANN401
    said: str,
) -> None:
    done = run("target-demandbase", **{setting: value})
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]


@both_apis
@pytest.mark.parametrize("text", ["null", " Null"])
def test_the_text_null_is_no_field(run: Any, sandbox: Sandbox, api: str, text: str) -> None:  # noqa: ANN401
    done = run("target-demandbase", api, field_mappings={"people": {"id": text, "a": None}})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "The setting field_mappings.people.id is the text null, which is no field: write __NULL__ "
        "to leave the column out."
    )
    assert not sandbox.requests()


@both_plugins
@both_apis
def test_one_file_may_hold_the_settings_of_both_plugins(
    run: Any,  # noqa: ANN401
    plugin: str,
    api: str,
) -> None:
    shared = {
        "stream_maps": {}, "flattening_enabled": False, "stream_options": {}, "on_reject": "fail",
        "start_date": "2026-01-01", "dry_run": True,
    }  # fmt: skip
    done = run(plugin, api, **shared)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "Settings of other plugins" in line]
    foreign = "on_reject, dry_run" if plugin == "tap-demandbase" else "stream_options, start_date"
    assert line.endswith(f"Settings of other plugins are ignored: {foreign}")


def test_numbers_that_are_text_are_read(run: Any) -> None:  # noqa: ANN401
    options = {"stream_options": {"accounts": {"lookback_days": "7"}}}
    assert run("tap-demandbase", lookback_days="2", **options).returncode == 0
    options["stream_options"]["accounts"]["lookback_days"] = "s3cret"
    done = run("tap-demandbase", **options)
    assert done.returncode == 1
    assert "accounts.lookback_days must be of the type integer or null." in done.stderr
    assert "s3cret" not in done.stderr


@both_plugins
def test_settings_of_every_target_are_known(run: Any, plugin: str) -> None:  # noqa: ANN401
    done = run(plugin, **dict.fromkeys(UNUSED_SDK_SETTINGS, "x"))
    assert done.returncode == 0, done.stderr
    assert f"are ignored: {', '.join(UNUSED_SDK_SETTINGS)}" in done.stderr


def test_a_mistyped_stream_is_named_with_the_nearest_one(run: Any) -> None:  # noqa: ANN401
    done = run("tap-demandbase", stream_options={"acounts": {}})
    assert "names streams that do not exist: acounts (near: accounts)" in done.stderr
    done = run("tap-demandbase", entities=["acounts"])
    assert done.returncode == 1
    assert "does not have: acounts (near: accounts)." in done.stderr.splitlines()[-1]


@both_plugins
def test_a_variable_that_names_no_setting_is_warned_about(
    run: Any,  # noqa: ANN401
    plugin: str,
) -> None:
    prefix = f"{plugin.upper().replace('-', '_')}_"
    names = ("JOB_TIMEOUT", "LOGLEVEL", "_SELECT", "STATE_DIR", "STREAM_MAPS_PEOPLE_X")
    variables = {prefix + name: "info" for name in names}
    done = run(plugin, variables={**variables, "TAP_OTHER_X": "1", "TARGET_OTHER_X": "1"})
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "name no setting" in line] == [
        line for line in done.stderr.splitlines()
        if line.endswith(
            f"Environment variables that name no setting are ignored: {prefix}JOB_TIMEOUT (near: "
            f"{prefix}JOB_TIMEOUT_SECONDS)"
        )
    ]  # fmt: skip
    assert f"{prefix}JOB_TIMEOUT (near" in done.stderr


@both_plugins
def test_variables_that_are_not_read_are_warned_about(run: Any, plugin: str) -> None:  # noqa: ANN401
    prefix = f"{plugin.upper().replace('-', '_')}_"
    names = ("KEEP_DAYS", "STATE_DIR", "STREAM_MAPS", "SPOOL_DIR")
    variables = dict.fromkeys((prefix + name for name in names), "s3cret")
    done = run(plugin, variables={**variables, f"{prefix}SPOOL_DIR": ""})
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "are not read" in line]
    assert f"no file has the settings of {prefix}KEEP_DAYS, {prefix}STREAM_MAPS. " in line
    assert "s3cret" not in done.stderr


@both_apis
@pytest.mark.parametrize(("text", "is_refused"), [("true", True), ("oui", True), ("False", False)])
def test_nothing_is_sent_if_a_dry_run_is_asked_for_where_it_is_not_read(
    run: Any,  # noqa: ANN401
    sandbox: Sandbox,
    api: str,
    text: str,
    is_refused: bool,  # noqa: FBT001
) -> None:
    done = run("target-demandbase", api, variables={"TARGET_DEMANDBASE_DRY_RUN": text})
    assert (done.returncode == 1) is is_refused
    if is_refused:
        assert done.stderr.splitlines()[-1].endswith(
            "The environment variable TARGET_DEMANDBASE_DRY_RUN is set but not read, and without a "
            "dry run, the rows are sent. Add --config=ENV, or, under Meltano, declare the setting "
            "dry_run in meltano.yml."
        )
        assert not sandbox.requests()


KEY_SET = {"client_id": "id", "client_secret": "secret"}
TOKEN = {"access_token": "token"}


@pytest.mark.parametrize(
    ("settings", "api"),
    [
        (KEY_SET, Api.UAPI), (TOKEN, Api.V1), ({**TOKEN, **KEY_SET}, Api.UAPI),
        ({**TOKEN, "client_id": "id"}, Api.V1), ({**TOKEN, "client_secret": "secret"}, Api.V1),
        ({**KEY_SET, "api": None}, Api.UAPI), ({**KEY_SET, "api": "v1"}, Api.V1),
        ({**TOKEN, "api": "uapi"}, Api.UAPI), ({**KEY_SET, "client_secret": None, **TOKEN}, Api.V1),
    ],
)  # fmt: skip
def test_the_credentials_choose_the_api(settings: dict[str, Any], api: Api) -> None:
    assert chosen_api(settings) is api
    assert api_url(settings) == api.default_url


@both_plugins
@both_apis
def test_the_api_may_be_unset(
    run: Any,  # noqa: ANN401
    sandbox: Sandbox,
    plugin: str,
    api: str,
) -> None:
    labels = {"field_mappings": {"people": {"email": "Email"}}} if api == "uapi" else {}
    done = run(plugin, api, text=PEOPLE, **({} if plugin == "tap-demandbase" else labels))
    operations = {request.operation for request in sandbox.requests()}
    if plugin == "tap-demandbase":
        assert done.returncode == 0, done.stderr
        assert ("listExportableEntities" in operations) is (api == "v1")
        assert ("fetchFields" in operations) is (api == "uapi")
    else:
        assert ("listFieldMappings" in operations) is (api == "v1")
        assert ("required field First Name" in done.stderr) is (api == "uapi")


@both_plugins
@both_apis
def test_a_gateways_prefix_stays_in_each_request(
    run: Any,  # noqa: ANN401
    plugin: str,
    api: str,
) -> None:
    with http_server({}) as server:
        done = run(plugin, api, text=PEOPLE, api_url=f"{server.url}/gateway/demandbase/")
    paths = [request.path for request in server.requests]
    assert done.returncode == 1
    assert paths or (plugin, api) == ("target-demandbase", "uapi")
    assert all(path.startswith("/gateway/demandbase/") for path in paths)


@both_plugins
def test_a_url_with_a_path_of_the_api_is_refused(
    run: Any,  # noqa: ANN401
    sandbox: Sandbox,
    plugin: str,
) -> None:
    done = run(plugin, api_url=f"{sandbox.url}/s3cret/export/v1", text=PEOPLE)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "The setting api_url cannot be used: its path contains /export/v1, a part of the API's own "
        "paths. Give scheme and host, as in https://api.demandbase.com."
    )
    assert "s3cret" not in done.stderr
    assert not sandbox.requests()


def test_members_of_objects_and_extras_of_meltano_are_no_unknown_variables() -> None:
    names = ["X_ROWS", "X_OPTIONS", "X_OPTIONS_PEOPLE", "X__SELECT", "X_LOGLEVEL", "Y_ROW"]
    assert unknown_variables(SCHEMA, "X_", names) == []
    assert unknown_variables(SCHEMA, "X_", ["X_ROW", "X_ROWS_A", "X_ZZZ"]) == [
        "X_ROW (near: X_ROWS)", "X_ROWS_A (near: X_ROWS)", "X_ZZZ",
    ]  # fmt: skip


def test_variables_of_settings_that_the_plugin_has_are_read() -> None:
    variables = {"X_ROWS": "1", "X_OPTIONS": "{}", "X_ROW": "1", "X_OPTIONS_A": "1"}
    assert unread_variables(SCHEMA, "X_", variables, {"rows"}) == {"options": "X_OPTIONS"}
    assert unread_variables(SCHEMA, "X_", variables, {"rows", "options"}) == {}
    assert unread_variables(SCHEMA, "X_", {"X_ROWS": ""}, ()) == {}
