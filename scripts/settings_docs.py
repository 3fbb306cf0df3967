"""Writes the settings, as ``--about`` prints them, into docs/settings.md and meltano.yml."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
PROJECT = ROOT / "meltano.yml"
KINDS = {"number": "decimal"}
PLUGINS = ("tap-demandbase", "target-demandbase")


def settings_table(plugin: str) -> str:
    """Return the settings table of ``PLUGIN --about --format=markdown``."""
    command = str(Path(sys.executable).with_name(plugin))
    about = subprocess.run(  # noqa: S603 - the project's own command
        [command, "--about", "--format=markdown"], capture_output=True, text=True, check=True
    )
    return "\n".join(line for line in about.stdout.splitlines() if line.startswith("|"))


def with_tables(text: str) -> str:
    """Return the text of the page with the table of each plugin between its markers."""
    for plugin in PLUGINS:
        begin, end = f"<!-- settings of {plugin} -->\n", f"<!-- end of {plugin} -->"
        table = settings_table(plugin)
        text = re.sub(
            f"{re.escape(begin)}.*?{re.escape(end)}",
            lambda _, table=table, begin=begin, end=end: f"{begin}{table}\n{end}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


def meltano_settings(plugin: str) -> list[dict[str, Any]]:
    """Return the settings of a plugin in the form of meltano.yml."""
    command = str(Path(sys.executable).with_name(plugin))
    about = subprocess.run(  # noqa: S603 - the project's own command
        [command, "--about", "--format=json"], capture_output=True, text=True, check=True
    )
    return [_setting(*item) for item in json.loads(about.stdout)["settings"]["properties"].items()]


def _setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = next(word for word in types if word != "null")
    setting = {"name": name, "label": schema["title"], "kind": KINDS.get(kind, kind)}
    if values := [value for value in schema.get("enum", ()) if value is not None]:
        setting["kind"] = "options"
        setting["options"] = [{"label": value, "value": value} for value in values]
    if schema.get("secret"):
        setting["sensitive"] = True
    if "default" in schema:
        setting["value"] = schema["default"]
    return {**setting, "description": schema["description"]}


def with_settings(text: str) -> str:
    """Return the text of meltano.yml with the settings of both plugins."""
    for plugin in PLUGINS:
        listed = yaml.safe_dump(
            meltano_settings(plugin), sort_keys=False, allow_unicode=True, width=92
        )
        indented = "".join(f"    {line}\n" for line in listed.splitlines())
        text = re.sub(
            rf"(  - name: {plugin}\n(?:(?!  - name: ).*\n)*?    settings:\n)(?:    [ -].*\n)*",
            lambda found, indented=indented: found[1] + indented,  # type: ignore[misc]
            text,
        )
    return text


if __name__ == "__main__":
    PROJECT.write_text(with_settings(PROJECT.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
