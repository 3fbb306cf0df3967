"""Counts the source files that run code between the first and the last message of a small sync.

Each plugin runs in a process of its own against a sandbox, over ``v1``, with one stream of three
rows. Files of the project's packages count; code that only runs because a module is imported does
not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from demandbase_sandbox import Sandbox, SandboxOptions

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("demandbase_api", "tap_demandbase", "target_demandbase", "demandbase_sandbox")
CO_NEWLOCALS = 0x2
CO_OPTIMIZED = 0x1
KEY = ["domain"]
ROWS = [{"domain": f"company{number}.example", "name": f"Name {number}"} for number in range(3)]


class Recorder:
    """Files with a function that ran between the first and the last mark."""

    def __init__(self) -> None:
        self._is_on = False
        self._since_mark: set[str] = set()
        self.files: set[str] = set()

    def mark(self) -> None:
        """Mark a message: start recording, or count everything that ran until now."""
        self._is_on = True
        self.files |= self._since_mark

    def profile(self, frame: FrameType, event: str, _: object) -> None:
        """Record a call; for ``sys.setprofile``."""
        if self._is_on and event == "call" and frame.f_code.co_flags & CO_OPTIMIZED:
            self._since_mark.add(frame.f_code.co_filename)


class MarkingOutput:
    """Standard output that marks each write."""

    def __init__(self, stream: TextIO, recorder: Recorder) -> None:
        self._stream = stream
        self._recorder = recorder
        self.buffer = _MarkingBytes(stream.buffer, recorder)

    def write(self, text: str) -> int:
        """Write text."""
        self._recorder.mark()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return any other member of the stream."""
        return getattr(self._stream, name)


class _MarkingBytes:
    def __init__(self, stream: Any, recorder: Recorder) -> None:  # noqa: ANN401
        self._stream = stream
        self._recorder = recorder

    def write(self, data: bytes) -> int:
        self._recorder.mark()
        return int(self._stream.write(data))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)


def run_plugin(plugin: str, arguments: list[str], result: Path) -> None:
    """Run a plugin in this process and write the names of the files as JSON."""
    recorder = Recorder()
    if plugin == "tap-demandbase":
        from tap_demandbase.cli import main  # noqa: PLC0415
    else:
        from target_demandbase.cli import main  # noqa: PLC0415

        recorder.mark()  # its first message is already there
    sys.argv = [plugin, *arguments]
    sys.stdout = MarkingOutput(sys.stdout, recorder)
    threading.setprofile(recorder.profile)
    sys.setprofile(recorder.profile)
    try:
        main()
    finally:
        sys.setprofile(None)
        roots = {package: str(ROOT / package) + os.sep for package in PACKAGES}
        own = {
            str(Path(name).relative_to(ROOT))
            for name in recorder.files
            if any(name.startswith(root) for root in roots.values())
        }
        result.write_text(json.dumps(sorted(own)), encoding="utf-8")


def measured(plugin: str, config: dict[str, Any], messages: list[dict[str, Any]]) -> list[str]:
    """Run a plugin in a process and return the files that it used."""
    with tempfile.TemporaryDirectory() as folder:
        settings, result = Path(folder, "config.json"), Path(folder, "files.json")
        settings.write_text(json.dumps({**config, "spool_dir": folder}), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - this program
            [sys.executable, __file__, plugin, str(result), "--config", str(settings)],
            input="".join(json.dumps(message) + "\n" for message in messages),
            capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
        if done.returncode:
            sys.exit(done.stderr)
        files: list[str] = json.loads(result.read_text(encoding="utf-8"))
        return files


def main() -> None:
    """Run both plugins and print the files and their number."""
    with Sandbox(SandboxOptions()) as sandbox:
        common = {"api": "v1", "api_url": sandbox.url, "access_token": sandbox.token}
        schema = {"properties": {"domain": {"type": "string"}, "name": {"type": "string"}}}
        messages: list[dict[str, Any]] = [
            {"type": "SCHEMA", "stream": "accounts", "schema": schema, "key_properties": KEY},
            *({"type": "RECORD", "stream": "accounts", "record": row} for row in ROWS),
            {"type": "STATE", "value": {"rows": len(ROWS)}},
        ]  # fmt: skip
        for plugin, more, lines in (
            ("tap-demandbase", {"streams": ["accounts"]}, []),
            ("target-demandbase", {}, messages),
        ):
            files = measured(plugin, {**common, **more, "poll_interval_seconds": 1}, lines)
            print(f"{plugin}: one record runs code in {len(files)} files")
            for name in files:
                print(f"  {name}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_plugin(sys.argv[1], sys.argv[3:], Path(sys.argv[2]))
    else:
        main()
