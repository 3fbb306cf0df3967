"""Writes what ``--about`` prints into docs/settings.md and Meltano's definitions of the plugins.

The definitions are in ``plugins/``, for ``meltano add --from-ref``, and in meltano.yml.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from demandbase_cli.commands import demandbase

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
PROJECT = ROOT / "meltano.yml"
KINDS = {"number": "decimal"}
PLUGINS = {"tap-demandbase": "extractors", "target-demandbase": "loaders"}
"""Kind of each plugin, in Meltano's words."""
OTHER_COMMANDS = {
    "tap-demandbase": {"catalog", "rejects"},
    "target-demandbase": {"catalog", "plan", "state"},
}
"""Commands that are about the other plugin; the catalog is Meltano's own to choose."""
PIP_URL = '"${SINGER_DEMANDBASE}"'
"""The quotes keep a path with blanks in one piece."""


@cache
def _about(plugin: str, form: str) -> str:
    command = str(Path(sys.executable).with_name(plugin))
    done = subprocess.run(  # noqa: S603 - the project's own command
        [command, "--about", f"--format={form}"], capture_output=True, text=True, check=True
    )
    return done.stdout


def settings_table(plugin: str) -> str:
    """Return the settings of ``PLUGIN --about --format=markdown`` as a table."""
    about = _about(plugin, "markdown")
    rows = [line.strip("|").split("|") for line in about.splitlines() if line[:1] == "|"]
    return "\n".join((
        "| Setting | Default | What it does |",
        "|---|---|---|",
        *(_row(*map(str.strip, row)) for row in rows[2:]),
    ))  # fmt: skip


def _row(name: str, required: str, default: str, description: str) -> str:
    shown = "" if default == "None" else f"`{default}`"
    return f"| `{name}` | {'required' if required == 'True' else shown} | {description} |"


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


def definition(plugin: str) -> dict[str, Any]:
    """Return the definition of a plugin in the form of Meltano's ``--from-ref``."""
    about = json.loads(_about(plugin, "json"))
    schema = about["settings"]
    return {
        "name": plugin,
        "namespace": plugin.replace("-", "_"),
        "label": "Demandbase",
        "description": about["description"],
        "pip_url": PIP_URL,
        "executable": plugin,
        "capabilities": about["capabilities"],
        "settings_group_validation": [
            group["required"] for group in schema.get("anyOf", [schema]) if group.get("required")
        ],
        "commands": {
            name: {
                "executable": "demandbase",
                "args": name,
                "description": command.get_short_help_str(limit=200),
            }
            for name, command in demandbase.commands.items()
            if name not in OTHER_COMMANDS[plugin]
        },
        "settings": [_setting(*item) for item in schema["properties"].items()],
    }


def _setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = next(word for word in types if word != "null")
    setting = {"name": name, "label": schema["title"], "kind": KINDS.get(kind, kind)}
    if values := [value for value in schema.get("enum", ()) if value is not None]:
        setting["kind"] = "options"
        setting["options"] = [{"label": value, "value": value} for value in values]
    elif name.endswith("_date"):
        setting["kind"] = "date_iso8601"
    if schema.get("secret"):
        setting["sensitive"] = True
    if "default" in schema:
        setting["value"] = schema["default"]
    return {**setting, "description": schema["description"]}


def definition_file(plugin: str) -> Path:
    """Return the path of a plugin's definition."""
    return ROOT / "plugins" / f"{PLUGINS[plugin]}--{plugin}.yml"


def definition_text(plugin: str) -> str:
    """Return the text of a plugin's definition."""
    return "# Written by `make settings`.\n" + _yaml(definition(plugin))


def with_definitions(text: str) -> str:
    """Return the text of meltano.yml with the definitions of both plugins.

    They have no ``pip_url``: the commands of this environment run.
    """
    for plugin in PLUGINS:
        entry = {name: value for name, value in definition(plugin).items() if name != "pip_url"}
        lines = _yaml([entry]).splitlines(keepends=True)
        listed = "".join(f"  {line}" for line in lines)
        text = re.sub(
            rf"  - name: {plugin}\n(?:    .*\n)*",
            lambda _, listed=listed: listed,  # type: ignore[misc]
            text,
        )
    return text


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=92)


if __name__ == "__main__":
    for name in PLUGINS:
        definition_file(name).write_text(definition_text(name), encoding="utf-8")
    PROJECT.write_text(with_definitions(PROJECT.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
