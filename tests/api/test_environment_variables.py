"""Settings from malformed environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from demandbase_api.settings_check import environment_problem
from tests.command_process import run_command

pytestmark = pytest.mark.thorough

SCHEMA = {
    "properties": {
        "rows": {"type": ["integer", "null"]},
        "options": {"type": ["object", "null"]},
        "names": {"type": ["array", "null"], "items": {"type": "string"}},
        "text": {"type": "string"},
        "switch": {"type": ["boolean", "null"]},
    }
}


@pytest.mark.parametrize(
    ("name", "text", "needed"),
    [
        ("ROWS", "Secret", "a whole number"), ("ROWS", "1.5", "a whole number"),
        ("ROWS", " 7 ", None),
        ("OPTIONS", "Secret", "a JSON object"), ("OPTIONS", "[1]", "a JSON object"),
        ("OPTIONS", "{}", None), ("NAMES", '["a"', "a JSON array"), ("NAMES", "a,b", None),
        ("SWITCH", "Secret", "true or false"), ("SWITCH", "", "true or false"),
        ("SWITCH", "On", None), ("SWITCH", "FALSE", None),
        ("TEXT", "Secret", None), ("OTHER", "Secret", None),
    ],
)  # fmt: skip
def test_the_setting_is_named_without_its_value(name: str, text: str, needed: str | None) -> None:
    said = environment_problem(SCHEMA, "X_", {f"X_{name}": text})
    if needed is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(
            f"The setting {name.lower()}, from the environment variable X_{name}"
        )
        assert f"is not {needed}." in said
        assert "Secret" not in said


@pytest.mark.parametrize(
    ("plugin", "variable", "text"),
    [
        ("tap", "WINDOW_DAYS", "Secret"),
        ("tap", "STREAM_OPTIONS", "Secret"),
        ("target", "BATCH_SIZE_ROWS", "Secret"),
        ("target", "MATCH_KEYS", "{Secret"),
        ("tap", "ACTIVATE_VERSION", "Secret"),
        ("target", "DRY_RUN", "Secret"),
    ],
)
def test_the_commands_last_line_names_the_variable(plugin: str, variable: str, text: str) -> None:
    name = f"{plugin.upper()}_DEMANDBASE_{variable}"
    done = run_command(f"{plugin}-demandbase", "--config=ENV", **{name: text})
    assert done.returncode == 1
    assert f"from the environment variable {name}" in done.stderr.splitlines()[-1]
    assert "Secret" not in done.stderr


def test_an_empty_variable_names_no_stream() -> None:
    variables = {f"TAP_DEMANDBASE_{name}": "" for name in ("ENTITIES", "FAIL_ON_EMPTY")}
    done = run_command(
        "tap-demandbase", "--config=ENV", TAP_DEMANDBASE_ACCESS_TOKEN="x", **variables
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "entities.0 must not be empty; the setting fail_on_empty.0 must not be empty" in last


@pytest.mark.parametrize("plugin", ["tap-demandbase", "target-demandbase"])
def test_a_folder_in_place_of_a_file_ends_in_a_sentence(plugin: str, tmp_path: Path) -> None:
    done = run_command(plugin, f"--config={tmp_path}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        f"Cannot use the file {tmp_path}: Is a directory. Give another path."
    )
