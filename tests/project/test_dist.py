from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_installs_all_commands(tmp_path: Path) -> None:
    # uv builds the wheel from the source distribution, which must contain everything for it.
    run(UV, "build", "--quiet", "--out-dir", str(tmp_path / "dist"), str(ROOT))
    [wheel] = (tmp_path / "dist").glob("*.whl")
    assert list((tmp_path / "dist").glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        packages = {name.split("/")[0] for name in archive.namelist()}
        assert "demandbase_cli/run_page.css" in archive.namelist()
    assert {name for name in packages if not name.endswith(".dist-info")} == {
        "demandbase_api",
        "demandbase_cli",
        "demandbase_sandbox",
        "tap_demandbase",
        "target_demandbase",
    }

    fresh = tmp_path / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, str(fresh))
    install = (UV, "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"),
               "--python", str(fresh / "bin" / "python"))  # fmt: skip
    run(*install, str(wheel))
    for plugin in ("tap-demandbase", "target-demandbase", "demandbase"):
        assert run(str(fresh / "bin" / plugin), "--version").startswith(plugin)
    sandbox = str(fresh / "bin" / "demandbase-sandbox")
    done = subprocess.run([sandbox], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"pip install '{wheel}[sandbox]'" in line
    run(*install, f"singer-demandbase[sandbox] @ {wheel.as_uri()}")
    assert "Usage: demandbase-sandbox" in run(sandbox, "--help")
