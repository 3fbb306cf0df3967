"""Writes the plugins' settings tables, as ``--about`` prints them, into the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PLUGINS = ("tap-demandbase", "target-demandbase")


def settings_table(plugin: str) -> str:
    """Return the settings table of ``PLUGIN --about --format=markdown``."""
    command = str(Path(sys.executable).with_name(plugin))
    about = subprocess.run(  # noqa: S603 - the project's own command
        [command, "--about", "--format=markdown"], capture_output=True, text=True, check=True
    )
    return "\n".join(line for line in about.stdout.splitlines() if line.startswith("|"))


def with_tables(text: str) -> str:
    """Return the README's text with each plugin's table between its two markers."""
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


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
