"""Rules for imports that the contracts in pyproject.toml cannot express."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
PLUGINS = ("demandbase_cli", "tap_demandbase", "target_demandbase")


def modules_outside_arrow(package: str) -> list[str]:
    files = [file.relative_to(ROOT).with_suffix("") for file in (ROOT / package).rglob("*.py")]
    return sorted(".".join(file.parts) for file in files if "arrow" not in file.parts)


def loaded(names: Iterable[str], heavy: Collection[str]) -> str:
    """Return which modules are loaded after the import of others."""
    code = f"import sys, {', '.join(names)}; print(*({set(heavy)!r} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_importing_a_plugin_loads_no_large_library() -> None:
    names = [name for package in PLUGINS for name in modules_outside_arrow(package)]
    assert {f"{package}.cli" for package in PLUGINS} <= {*names}
    assert loaded(names, {"pyarrow", "obstore"}) == ""


def test_a_command_starts_without_what_only_some_runs_need() -> None:
    """Each takes a part of the time of ``--help``, next to that of the SDK."""
    commands = ("demandbase_cli.commands", "tap_demandbase.tap", "target_demandbase.target")
    heavy = {"demandbase_cli.deep.lines", "filelock", "obstore", "pyarrow", "rich.console"}
    assert loaded(commands, heavy) == ""
