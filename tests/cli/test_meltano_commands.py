from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from demandbase_cli.commands import demandbase
from demandbase_sandbox import Sandbox

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("kind", "plugin", "others"),
    [
        ("extractors", "tap-demandbase", {"catalog", "rejects"}),
        ("loaders", "target-demandbase", {"catalog", "plan", "state"}),
    ],
)
def test_meltano_yml_declares_the_commands_of_each_plugin(
    kind: str, plugin: str, others: set[str]
) -> None:
    """A catalog is Meltano's own to choose; the others are about the other plugin."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    [found] = [each for each in project["plugins"][kind] if each["name"] == plugin]
    assert set(found["commands"]) == set(demandbase.commands) - others
    for name, command in found["commands"].items():
        assert (command["executable"], command["args"]) == ("demandbase", name)


@pytest.mark.slow
def test_meltano_runs_the_commands_with_the_settings_of_the_plugin(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "meltano.yml", tmp_path)
    folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "TAP_DEMANDBASE_API_URL": sandbox.url,
        "TAP_DEMANDBASE_ACCESS_TOKEN": sandbox.token,
        "TAP_DEMANDBASE_STATE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [f"{folder}/meltano", "invoke", "tap-demandbase:jobs", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
