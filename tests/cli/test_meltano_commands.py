from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from demandbase_cli.commands import demandbase

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
