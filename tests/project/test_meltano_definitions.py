"""The definitions in ``plugins/`` in a fresh Meltano project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import settings_docs
import yaml

from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.tap import TapDemandbase
from target_demandbase.target import TargetDemandbase
from tests.meltano_project import ROOT, meltano

pytestmark = pytest.mark.slow

INSTALLED = {"SINGER_DEMANDBASE": str(ROOT)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh") / "project"
    meltano(folder.parent, {}, "init", "project", "--no-usage-stats")
    for plugin in settings_docs.PLUGINS:
        file = str(settings_docs.definition_file(plugin))
        meltano(folder, INSTALLED, "add", f"--from-ref={file}", plugin)
    return folder


@pytest.fixture
def project(installed: Path, tmp_path: Path) -> Path:
    """A project that may be changed."""
    folder = tmp_path / "project"
    shutil.copytree(installed, folder, symlinks=True, ignore=shutil.ignore_patterns(".meltano"))
    (folder / ".meltano").mkdir()
    for kind in settings_docs.PLUGINS.values():
        (folder / ".meltano" / kind).symlink_to(installed / ".meltano" / kind)
    return folder


def settings_for(sandbox: Sandbox, folder: Path, **more: str) -> dict[str, str]:
    own = {"API_URL": sandbox.url, "ACCESS_TOKEN": sandbox.token, "STATE_DIR": str(folder / "x")}
    prefixes = ("TAP_DEMANDBASE_", "TARGET_DEMANDBASE_")
    common = {prefix + name: value for prefix in prefixes for name, value in own.items()}
    return {**common, "TAP_DEMANDBASE__SELECT": '["accounts.domain"]', **more}


def config_of(project: Path, plugin: str, **variables: str) -> dict[str, Any]:
    """Return the settings that Meltano passes to a plugin."""
    done = meltano(project, variables, "invoke", "--dump=config", plugin)
    config: dict[str, Any] = json.loads(done.stdout)
    return config


def test_the_project_has_all_of_the_definitions(project: Path) -> None:
    added = yaml.safe_load((project / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    meltano(project, {}, "compile")
    compiled = (project / ".meltano" / "manifests" / "meltano-manifest.dev.json").read_text("utf-8")
    manifest = json.loads(compiled)["plugins"]
    for plugin, kind in settings_docs.PLUGINS.items():
        definition = yaml.safe_load(settings_docs.definition_text(plugin))
        [entry] = added[kind]
        assert entry == definition
        names = {setting["name"] for setting in definition["settings"]}
        [compiled_entry] = manifest[kind]
        assert names <= {setting["name"] for setting in compiled_entry["settings"]}


def test_settings_arrive_with_their_types(project: Path) -> None:
    for name, value in {
        "access_token": "17",
        "lookback_days": "5",
        "activate_version": "true",
        "start_date": "2026-01-31",
        "entities": '["accounts"]',
        "stream_options": '{"people": {"key_properties": ["email"]}}',
        "stream_options.accounts.lookback_days": "7",
        "batch_config.storage.root": "19",
        "batch_config.batch_size": "500",
    }.items():
        meltano(project, {}, "config", "set", "tap-demandbase", name, value)
    variables = {"TAP_DEMANDBASE_WINDOW_DAYS": "9", "TAP_DEMANDBASE_FAIL_ON_EMPTY": '["a"]'}
    given = config_of(project, "tap-demandbase", **variables)
    # What the installed commands do first.
    config = TapDemandbase(config=given, setup_mapper=False).config
    assert {name: value for name, value in config.items() if given.get(name) != value} == {
        "stream_options": {
            "people": {"key_properties": ["email"]}, "accounts": {"lookback_days": 7},
        },
        "batch_config": {"storage": {"root": "19"}, "batch_size": 500},
    }  # fmt: skip
    assert config.items() >= {
        "access_token": "17", "lookback_days": 5, "activate_version": True, "window_days": 9,
        "start_date": "2026-01-31",
    }.items()  # fmt: skip
    assert (config["entities"], config["fail_on_empty"]) == (["accounts"], ["a"])
    assert "17" not in (project / "meltano.yml").read_text(encoding="utf-8").split()


def test_maps_of_the_target_arrive(project: Path) -> None:
    for name, value in {
        "access_token": "t",
        "max_rejected_rows": "3",
        "entity_map.crm": "accounts",
        "match_keys": '{"accounts": "domain"}',
        "field_mappings.accounts.host": "domain",
        "field_mappings.accounts.notes": "__NULL__",
        "custom_fields.accounts": '["Intent Score", "Tier"]',
        "source": "HubSpot",
    }.items():
        meltano(project, {}, "config", "set", "target-demandbase", name, value)
    given = config_of(project, "target-demandbase", TARGET_DEMANDBASE_DRY_RUN="true")
    config = TargetDemandbase(config=given, setup_mapper=False).config
    assert config["field_mappings"] == {"accounts": {"host": "domain", "notes": None}}
    assert config["custom_fields"] == {"accounts": ["Intent Score", "Tier"]}
    assert config["source"] == "HubSpot"
    assert config["match_keys"] == {"accounts": "domain"}
    assert config["entity_map"] == {"crm": "accounts"}
    assert (config["max_rejected_rows"], config["dry_run"]) == (3, True)


def test_a_dry_run_by_a_variable_sends_nothing(sandbox: Sandbox, project: Path) -> None:
    variables = settings_for(sandbox, project, TARGET_DEMANDBASE_DRY_RUN="true")
    meltano(project, variables, "run", "tap-demandbase", "target-demandbase")
    assert not sandbox.import_jobs()
    [file] = (project / "rejects").glob("dry-run-*/0001-accounts.csv")
    assert len(file.read_text(encoding="utf-8").splitlines()) == len(sandbox.rows("accounts")) + 1


def test_the_commands_run_with_the_settings_of_the_plugin(sandbox: Sandbox, project: Path) -> None:
    options = '{"accounts": {"replication_key": "updated_at", "lookback_days": "4"}}'
    meltano(project, {}, "config", "set", "tap-demandbase", "stream_options", options)
    meltano(project, {}, "config", "set", "target-demandbase", "field_mappings.people.x", "email")
    variables = settings_for(sandbox, project)
    nothing: dict[str, object] = {
        "tap-demandbase:jobs": [],
        "target-demandbase:rejects": {"rejected": [], "files": []},
    }
    for command, printed in nothing.items():
        done = meltano(project, variables, "invoke", command, "--json")
        assert json.loads(done.stdout) == printed
    planned = meltano(project, variables, "invoke", "tap-demandbase:plan")
    assert "accounts" in planned.stdout
    changed = meltano(
        project, variables, "invoke", "tap-demandbase:state", "-", "--reset=accounts",
        text='{"singer_state": {"bookmarks": {"accounts": {}}}}',
    )  # fmt: skip
    assert json.loads(changed.stdout) == {"singer_state": {"bookmarks": {}}}


def test_a_used_up_quota_ends_a_run_with_1_and_the_plugin_with_75(
    sandbox: Sandbox, project: Path
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
    variables = settings_for(sandbox, project)
    done = meltano(project, variables, "run", "tap-demandbase", "target-demandbase", code=1)
    assert "the quota is used up" in done.stdout + done.stderr
    meltano(project, variables, "invoke", "tap-demandbase", code=75)
