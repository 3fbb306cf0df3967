"""However the tap's command ends, its last line says why, and no line shows a value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demandbase_sandbox import Sandbox
from tests.command_process import run_command

pytestmark = pytest.mark.thorough

TAP = str(Path(sys.executable).with_name("tap-demandbase"))


def config_file(folder: Path, sandbox: Sandbox, **settings: object) -> str:
    config = folder / "config.json"
    config.write_text(
        json.dumps({"api_url": sandbox.url, "access_token": sandbox.token, **settings})
    )
    return str(config)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_command("tap-demandbase", *arguments, **environment)


@pytest.mark.parametrize("mode", [["--discover"], []], ids=["discover", "sync"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"access_token": 12345678901}, "the setting access_token must be of the type string"),
        ({"access_token": ["Secret"]}, "the setting access_token must be of the type string"),
        ({"access_token": {"a": "Secret"}}, "the setting access_token must be of the type string"),
        ({"access_token": "Secret\nSecret"}, "The setting access_token contains a space"),
        ({"api_url": "http://u:Secret@h:99999"}, "The setting api_url is not a web address"),
        ({"api_url": "Secret"}, "the setting api_url must match the pattern"),
        ({"stream_options": {"accounts": "Secret"}}, "stream_options.accounts must be of the"),
        ({"request_timeout_seconds": 1e30}, "request_timeout_seconds must be at most 604800"),
        ({"discovery_cache_hours": 1e30}, "discovery_cache_hours must be at most 8760"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_named_without_its_value(
    sandbox: Sandbox, tmp_path: Path, settings: dict[str, object], said: str, mode: list[str]
) -> None:
    done = run("--config", config_file(tmp_path, sandbox, **settings), *mode)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    for hidden in ("Secret", "12345678901", "Traceback"):
        assert hidden not in done.stderr + done.stdout


def test_what_nobody_foresaw_ends_in_one_sentence_without_its_text(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    maps = {"campaigns": {"odd": "int('Secret')"}}
    settings = config_file(tmp_path, sandbox, entities=["campaigns"], stream_maps=maps)
    done = run("--config", settings)
    assert done.returncode == 1
    assert "Unexpected " in done.stderr.splitlines()[-1]
    assert "Secret" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("discover", [True, False], ids=["discover", "sync"])
def test_a_target_that_stops_reading_is_the_last_line(
    sandbox: Sandbox, tmp_path: Path, *, discover: bool
) -> None:
    arguments = [TAP, "--config", config_file(tmp_path, sandbox)]
    if discover:
        arguments.append("--discover")
    else:
        found = run("--config", config_file(tmp_path, sandbox), "--discover")
        catalog = tmp_path / "catalog.json"
        catalog.write_text(found.stdout)
        arguments += ["--catalog", str(catalog)]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        done = subprocess.run(
            arguments, stdout=broken, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "The target stopped reading: see its messages." in done.stderr.splitlines()[-1]
    assert "Exception ignored" not in done.stderr
    assert "Traceback" not in done.stderr
