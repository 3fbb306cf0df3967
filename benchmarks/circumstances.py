"""When, where and with what it was measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = ("singer-sdk", "pyarrow", "msgspec", "duckdb", "meltano")
_ASK = (
    "import importlib.metadata as m, json, sys\n"
    "found = {}\n"
    "for name in sys.argv[1:]:\n"
    "    try: found[name] = m.version(name)\n"
    "    except m.PackageNotFoundError: pass\n"
    "import platform; found['Python'] = platform.python_version()\n"
    "print(json.dumps(found))\n"
)


def circumstances(pythons: list[str], worth: Sequence[float] = ()) -> dict[str, object]:
    """Return the date, the machine and the versions.

    Args:
        pythons: The interpreters whose packages took part; what several have is the first's.
        worth: What the cores were worth at the start of runs, times one of them.
    """
    versions: dict[str, str] = {}
    for python in pythons:
        done = subprocess.run(
            [python, "-c", _ASK, *PACKAGES], capture_output=True, text=True, check=True
        )
        versions = {**json.loads(done.stdout), **versions}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "cores_worth": asdict(Figure.of(worth)) if worth else None,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def caption(found: dict[str, object]) -> str:
    """Return the circumstances in a line."""
    versions = found["versions"]
    assert isinstance(versions, dict)  # noqa: S101 - made above
    named = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    cores = f"{found['cores']} cores ({found['processor']})"
    if found.get("cores_worth"):
        worth = Figure(**found["cores_worth"])  # type: ignore[arg-type]
        cores += f" worth {worth.median:.1f} ({worth.low:.1f}–{worth.high:.1f}) at the runs' start"
    return f"{found['date']}, {cores}, {named}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()
