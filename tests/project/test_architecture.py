"""Rules for imports that the contracts in pyproject.toml cannot express."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
PLUGINS = ("demandbase_cli", "tap_demandbase", "target_demandbase")


def modules_outside_arrow(package: str) -> list[str]:
    files = [file.relative_to(ROOT).with_suffix("") for file in (ROOT / package).rglob("*.py")]
    return sorted(".".join(file.parts) for file in files if "arrow" not in file.parts)


@pytest.mark.parametrize("package", PLUGINS)
def test_importing_a_plugin_loads_no_large_library(package: str) -> None:
    names = modules_outside_arrow(package)
    assert f"{package}.cli" in names
    large = "{'pyarrow', 'obstore'}"
    code = f"import sys, {', '.join(names)}; sys.exit(len({large} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
