from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Sandbox
from target_demandbase.target import TargetDemandbase
from tests.sandbox_time import SandboxTime
from tests.target.command import Run, running

ACCOUNT = {
    "domain": {"type": ["string", "null"]},
    "name": {"type": ["string", "null"]},
    "notes": {"type": ["string", "null"]},
    "engagement_score": {"type": ["number", "null"]},
}


class QuickTarget(TargetDemandbase):
    """The target, but for the patience between tries."""

    retry = RetryPolicy(tries=6, base_seconds=0.001, max_seconds=0.01)


@dataclass(frozen=True)
class Result:
    """What a run of the target left behind."""

    states: list[Any]
    folder: Path

    @property
    def state(self) -> Any:  # noqa: ANN401
        return self.states[-1] if self.states else None

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """The rejected records, in the order of their files' names."""
        return [
            message["record"]
            for path in sorted(self.folder.glob("rejects-*.jsonl"))
            for message in map(json.loads, path.read_text(encoding="utf-8").splitlines())
            if message["type"] == "RECORD"
        ]

    @property
    def report(self) -> dict[str, Any]:
        [path] = self.folder.glob("report-*.json")
        return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def schema(
    properties: dict[str, Any] | None = None, stream: str = "accounts", key: str = "domain"
) -> dict[str, Any]:
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": properties or ACCOUNT},
        "key_properties": [key],
    }


def record(stream: str = "accounts", **cells: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "RECORD", "stream": stream, "record": cells}


def state(value: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "STATE", "value": value}


PEOPLE_LABELS = {
    "person_id": "External Person Id",
    "email": "Email",
    "first_name": "First Name",
    "last_name": "Last Name",
    "title": "Title",
    "phone": "Phone Number",
    "is_subscribed": "Is Subscribed",
    "lead_score": "Lead Score",
    "last_contacted_on": "Last Contacted On",
}
"""What ``uapi`` calls the columns of people: the one setting that differs."""

CUSTOM_LABELS = ["Phone Number", "Is Subscribed", "Lead Score", "Last Contacted On"]
"""Those of them that are not documented."""

ACCOUNT_ID = "acc-00000001"
OPPORTUNITY_LABELS = {
    "opportunity_id": "External Opportunity ID",
    "name": "Opportunity Name",
    "stage": "Opportunity Stage",
    "account_id": "External Account ID",
    "account_name": "Account Name",
    "account_domain": "Account Domain",
}

_TEXT = {"type": ["string", "null"]}
PERSON = {
    **dict.fromkeys(("person_id", "email", "first_name", "last_name", "title", "phone"), _TEXT),
    "is_subscribed": {"type": ["boolean", "null"]},
    "lead_score": {"type": ["integer", "null"]},
    "last_contacted_on": {"type": ["string", "null"], "format": "date"},
}


def people(properties: dict[str, Any] | None = None) -> dict[str, Any]:
    """A schema of people, whom both APIs add where they are not there."""
    return schema(properties or PERSON, "people", "person_id")


def person(number: int | str, **cells: Any) -> dict[str, Any]:  # noqa: ANN401
    """A record of people, with all that ``uapi`` needs."""
    known = {"email": f"n{number}@a.example", "first_name": "Ada", "last_name": "Lovelace"}
    return record("people", **{"person_id": f"n{number}", **known, **cells})


def landed(sandbox: Sandbox) -> dict[str, dict[str, str | None]]:
    """The people in the tenant that tests have sent, by number."""
    return {
        str(row["person_id"])[1:]: row
        for row in sandbox.rows("people")
        if str(row["person_id"])[:1] == "n"
    }


def deals() -> dict[str, Any]:
    """A schema of opportunities that both APIs add."""
    return schema(dict.fromkeys(OPPORTUNITY_LABELS, _TEXT), "opportunities", "opportunity_id")


def deal(sandbox: Sandbox, number: int, **cells: Any) -> dict[str, Any]:  # noqa: ANN401
    """A record of opportunities, of an account that the tenant has."""
    known = next(row for row in sandbox.rows("accounts") if row["account_id"] == ACCOUNT_ID)
    account = {"account_name": known["name"], "account_domain": known["domain"]}
    row = {"opportunity_id": f"opp-n{number}", "name": f"Deal {number}", "stage": "Proposal"}
    return record("opportunities", **row, **account, account_id=ACCOUNT_ID, **cells)


@pytest.fixture(params=["v1", "uapi"])
def api(request: pytest.FixtureRequest) -> str:
    """The API in use: all that is not marked as ``v1_only`` runs over both."""
    return str(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    """Whether a test is about what one API has, and stands for the other."""
    if item.get_closest_marker("v1_only") is None or not isinstance(item, pytest.Function):
        return False
    return hasattr(item, "callspec") and item.callspec.params.get("api") == "uapi"


@pytest.fixture
def config(sandbox: Sandbox, api: str) -> dict[str, Any]:
    if api == "v1":
        return {"api_url": sandbox.url, "access_token": sandbox.token}
    return {
        "api": api,
        "api_url": sandbox.uapi_url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "field_mappings": {"people": PEOPLE_LABELS, "opportunities": OPPORTUNITY_LABELS},
        "custom_fields": {"people": CUSTOM_LABELS},
    }


Load = Callable[..., Result]


@pytest.fixture
def load(
    sandbox: Sandbox, config: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Load:
    """Runs the target over messages or lines; ``failure`` is the error that it has to end with."""
    runs = iter(range(1000))

    def run(
        *messages: dict[str, Any] | str,
        failure: type[BaseException] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> Result:
        folder = tmp_path / f"rejects-{next(runs)}"
        members = {
            **config,
            "spool_dir": str(tmp_path / "spool"),
            "rejects_path": str(folder),
            **settings,
        }
        target = QuickTarget(config=members)
        target.clock = SandboxTime(sandbox)
        lines = "".join(
            (message if isinstance(message, str) else json.dumps(message)) + "\n"
            for message in messages
        )
        capsys.readouterr()
        with pytest.raises(failure) if failure else nullcontext():
            target.listen(io.StringIO(lines))
        states = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return Result(states, folder)

    return run


Start = Callable[..., AbstractContextManager[Run]]


@pytest.fixture
def start(sandbox: Sandbox, config: dict[str, Any], tmp_path: Path) -> Start:
    """Starts the command, which is ended after the ``with``."""

    def run(file_bytes: int | None = None, **settings: Any) -> AbstractContextManager[Run]:  # noqa: ANN401
        return running(sandbox, tmp_path, file_bytes, **{**config, **settings})

    return run


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rejects and reports go to the working folder unless a setting says otherwise."""
    monkeypatch.chdir(tmp_path)
