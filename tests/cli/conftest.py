from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.ports import Apis
from demandbase_cli import settings
from demandbase_cli.commands import run
from demandbase_cli.settings import Settings
from demandbase_sandbox import Sandbox
from target_demandbase.target import TargetDemandbase
from tests.sandbox_time import SandboxTime
from tests.target.conftest import CUSTOM_LABELS, PEOPLE_LABELS


@pytest.fixture(params=["v1", "uapi"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(sandbox: Sandbox, api: str, tmp_path: Path) -> dict[str, Any]:
    """Settings of both plugins in one file."""
    own = {"state_dir": str(tmp_path / "state"), "rejects_path": str(tmp_path / "rejects")}
    if api == "v1":
        return {"api_url": sandbox.url, "access_token": sandbox.token, **own}
    return {
        "api": api,
        "api_url": sandbox.uapi_url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "field_mappings": {"people": PEOPLE_LABELS},
        "custom_fields": {"people": CUSTOM_LABELS},
        **own,
    }


@pytest.fixture
def config_file(config: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


@pytest.fixture
def apis(config_file: str) -> Apis:
    return Settings([config_file]).export_apis


@pytest.fixture(autouse=True)
def unchanged_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore the log, and let no test wait."""
    quick = RetryPolicy(tries=1)
    for plugin in ("_Tap", "_Target"):
        monkeypatch.setattr(getattr(settings, plugin), "retry", quick)
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    loggers = (root, logging.getLogger("demandbase_api.http.retry"))
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    logging.setLogRecordFactory(factory)


@dataclass(frozen=True)
class Done:
    """What a command printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """The output with single spaces."""
        return " ".join(self.out.split())


Demandbase = Callable[..., Done]


@pytest.fixture
def demandbase(config_file: str, capsys: pytest.CaptureFixture[str]) -> Demandbase:
    """Runs the command with the settings in the file; checks what every output must be."""

    def call(*arguments: str, code: int = 0, sources: tuple[str, ...] = (config_file,)) -> Done:
        capsys.readouterr()
        options = [word for source in sources for word in ("--config", source)]
        try:
            found = run([*arguments, *options])
        except SystemExit as end:
            found = int(end.code or 0)
        printed = capsys.readouterr()
        done = Done(found, printed.out, printed.err)
        assert found == code, done
        assert all(letter.isprintable() or letter == "\n" for letter in done.out + done.err)
        # What a deep check costs, and for what it waits, is said before.
        before = ("Calls for the ", "Waiting for the export of ")
        said = [line for line in done.err.splitlines() if not line.startswith(before)]
        assert code == 0 or len(said) == 1, done
        return done

    return call


Load = Callable[..., None]


@pytest.fixture
def load(sandbox: Sandbox, config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Load:
    """Runs the target over messages; its failure is part of what the command shows."""

    def run_target(*messages: dict[str, Any], **settings: Any) -> None:  # noqa: ANN401
        target = TargetDemandbase(config={**config, **settings})
        target.clock = SandboxTime(sandbox)
        lines = "".join(json.dumps(message) + "\n" for message in messages)
        with suppress(DemandbaseError):
            target.listen(io.StringIO(lines))
        capsys.readouterr()

    return run_target
