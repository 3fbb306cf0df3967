from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

TAP = str(Path(sys.executable).with_name("tap-demandbase"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "was not found"),
        ("{", "A file given with --config is not valid JSON (line 1)"),
        ("{}", "access_token"),
    ],
)
def test_a_bad_configuration_ends_in_one_sentence(
    tmp_path: Path, content: str | None, said: str
) -> None:
    config = tmp_path / "config.json"
    if content is not None:
        config.write_text(content)
    done = subprocess.run(
        [TAP, "--config", str(config), "--discover"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
