"""Plugins by others that do the same, each in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.programs import HERE, ROOT, file_target
from benchmarks.race import Contender, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.data import ExportFiles, Source
    from benchmarks.programs import Programs

CONSTRAINTS = HERE / "peer-constraints"


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers.

    Args:
        programs: The programs under test; its environment has uv.
        folder: Where to install the peers.
    """

    programs: Programs
    folder: Path

    def taps(self, files: ExportFiles) -> list[Contender]:
        """Return the taps over some files, which are alone in their folder."""

        def folder_tap(config: Path) -> list[str]:
            settings = {"filesystem": "local", "path": str(files.parts[0].parent)}
            settings |= {"read_mode": "merge", "stream_name": files.source.name}
            config.write_text(json.dumps(settings), encoding="utf-8")
            python = self._installed("tap-csv-folder")
            return [str(python.with_name("tap-csv-folder")), f"--config={config}"]

        def loop(config: Path) -> list[str]:
            script = str(HERE / "singer_python_loop.py")
            return [str(self._installed("singer-python")), script, str(config)]

        return [
            self.programs.file_tap("tap-csv-folder 0.0.1a1", files, folder_tap, is_typed=False),
            self.programs.file_tap("loop with singer-python 6.8", files, loop),
        ]

    def targets(self, source: Source, rows: int, lines: Path) -> list[Contender]:
        """Return the targets over some lines."""

        def jsonl(folder: Path) -> list[str]:
            config = {"destination_path": str(folder), "do_timestamp_file": False}
            return self._target(folder, "target-jsonl", "target-jsonl", config)

        def csv(folder: Path) -> list[str]:
            config = {"output_path": str(folder)}
            return self._target(folder, "meltanolabs-target-csv", "target-csv", config)

        return [
            file_target(
                "target-jsonl 0.1.4", source, rows, lines, jsonl, written=f"{source.name}.jsonl"
            ),
            file_target(
                "meltanolabs-target-csv 0.5", source, rows, lines, csv, written=f"{source.name}.csv"
            ),
        ]  # fmt: skip

    def _target(
        self, folder: Path, package: str, program: str, config: Mapping[str, object]
    ) -> list[str]:
        path = folder / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return [str(self._installed(package).with_name(program)), "--config", str(path)]

    def _installed(self, package: str) -> Path:
        """Return the interpreter of a package's environment, which is made where it is absent.

        Raises:
            UnavailableError: It cannot be installed.
        """
        place = self.folder / package
        python = place / "bin" / "python"
        ready = place / ".ready"
        if ready.exists():
            return python
        uv = str(self.programs.bin / "uv")
        own = CONSTRAINTS / f"{package}.txt"
        constraints = own if own.exists() else ROOT / f"constraints-{package}.txt"
        install = [uv, "pip", "install", "--quiet", f"--python={python}"]
        base = self.programs.python
        for command in (
            [uv, "venv", "--quiet", "--clear", f"--python={base}", str(place)],
            [*install, f"--constraint={constraints}", package],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise UnavailableError(f"{package} cannot be installed on this machine")
        ready.touch()
        return python
