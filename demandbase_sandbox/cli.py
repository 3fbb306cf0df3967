"""The command ``demandbase-sandbox``: ``serve`` until interrupted, or ``run`` a command."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from pydantic import ValidationError

from demandbase_sandbox.exceptions import problem_message
from demandbase_sandbox.faults import faults_from_json
from demandbase_sandbox.options import SandboxOptions, new_token
from demandbase_sandbox.server import Sandbox
from demandbase_sandbox.tenant.sample import DEFAULT_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from pydantic.fields import FieldInfo


LOOPBACK = "127.0.0.1"

SIGNAL_EXIT = 128

NOT_FOUND_EXIT = 127

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _rows(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Any:  # noqa: ANN401
    counts: dict[str, int] = {}
    for item in ",".join(values).split(","):
        name, _, number = item.partition("=")
        if item and (name not in DEFAULT_ROWS or not (number.isascii() and number.isdigit())):
            known = ", ".join(DEFAULT_ROWS)
            raise click.BadParameter(f"{item!r} is not ENTITY=NUMBER with one of {known}")
        if item:
            counts[name] = int(number)
    return counts


def _faults(_context: click.Context, _option: click.Parameter, path: Path | None) -> Any:  # noqa: ANN401
    if path is None:
        return ()
    try:
        return faults_from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path.name}: {error}") from None


_UAPI = "uapi"

_API = click.option(
    "--api",
    type=click.Choice(["v1", _UAPI]),
    default="v1",
    show_default=True,
    help="API whose address and credentials to give; both are served.",
)

_FOR_TESTS = frozenset({
    "budget_error_code", "call_budgets", "export_collection", "import_permission",
    "max_concurrent_queries", "person_lists_need_ids", "to_date_inclusive",
    "uapi_max_upload_bytes", "withheld_entities", "withheld_fields", "wrong_credentials_status",
})  # fmt: skip
"""Options of ``SandboxOptions`` that are not options of the command."""


_PATH = click.Path(path_type=Path)

_SPECIAL: dict[str, dict[str, Any]] = {
    "data": {"type": _PATH},
    "faults": {"type": _PATH, "callback": _faults},
    "rows": {"multiple": True, "callback": _rows, "metavar": "ENTITY=NUMBER,..."},
    "trial_export_bytes": {"type": int},
}
"""Options whose type does not follow from their annotation."""


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    fields: dict[str, FieldInfo] = vars(SandboxOptions)["__pydantic_fields__"]
    for name, field in reversed(fields.items()):
        if name in _FOR_TESTS:
            continue
        kind = {"is_flag": True} if field.annotation is bool else {"type": field.annotation}
        text = " ".join((field.description or "").split())
        option = f"--{name.replace('_', '-')}"
        command = click.option(option, help=text, **_SPECIAL.get(name, kind))(command)
    return command


@click.group()
def main() -> None:
    """Run a local stand-in for a Demandbase tenant."""


@main.command()
@_with_options
@_API
def serve(api: str, **options: Any) -> None:  # noqa: ANN401
    """Serve until interrupted; print addresses and credentials as one line of JSON."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)
    _on_signals(lambda _: _exit(0))
    with _sandbox(options) as sandbox:
        address = {"url": sandbox.url, "token": sandbox.token, "files_url": sandbox.files_url}
        if api == _UAPI:
            address["url"] = sandbox.uapi_url
            address |= {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        click.echo(json.dumps(address))
        threading.Event().wait()


@main.command(context_settings={"allow_interspersed_args": False})
@_with_options
@_API
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], api: str, **options: Any) -> None:  # noqa: ANN401
    """Serve while COMMAND runs, with the settings of tap and target in its environment."""
    _on_signals(lambda number: _exit(SIGNAL_EXIT + number))
    with _sandbox(options) as sandbox:
        environment = _environment(sandbox, api)
        early: list[int] = []
        # A signal during the start is forwarded once the child is known.
        _on_signals(early.append)
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's command
        except OSError as error:
            click.echo(f"demandbase-sandbox: {command[0]}: {error.strerror}", err=True)
            sys.exit(NOT_FOUND_EXIT)
        _on_signals(child.send_signal)
        for number in early:
            child.send_signal(number)
        code = child.wait()
    sys.exit(code if code >= 0 else SIGNAL_EXIT - code)


def _environment(sandbox: Sandbox, api: str) -> dict[str, str]:
    environment = past_proxies(os.environ)
    url = sandbox.uapi_url if api == _UAPI else sandbox.url
    settings = {"API": api, "API_URL": url, "ACCESS_TOKEN": sandbox.token}
    if api == _UAPI:
        credentials = {"CLIENT_ID": sandbox.client_id, "CLIENT_SECRET": sandbox.client_secret}
        settings = {"API": api, "API_URL": url, **credentials}
    for plugin in ("TAP_DEMANDBASE", "TARGET_DEMANDBASE"):
        if api == _UAPI:
            # An access token would be used in place of the credentials.
            environment.pop(f"{plugin}_ACCESS_TOKEN", None)
        environment |= {f"{plugin}_{name}": value for name, value in settings.items()}
    return {**environment, "DEMANDBASE_SANDBOX_URL": url}


def _on_signals(act: Callable[[int], object]) -> None:
    def handle(number: int, _frame: FrameType | None) -> None:
        act(number)

    for number in SIGNALS:
        signal.signal(number, handle)


def _exit(code: int) -> NoReturn:
    # A second signal must not interrupt the clean-up.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def _sandbox(options: dict[str, Any]) -> Sandbox:
    given = {name: value for name, value in options.items() if value is not None}
    given["token"] = given.get("token") or new_token()
    try:
        return Sandbox(SandboxOptions(**given))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = "".join(f"{step}: " for step in problem["loc"])
        raise click.UsageError(
            f"The sandbox cannot start: {place}{problem_message(problem)}"
        ) from None
    except (OSError, sqlite3.Error) as error:
        raise click.UsageError(f"The sandbox cannot start: {error}") from None


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which requests to 127.0.0.1 use no proxy."""
    exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in exempt.split(",") if host.strip()]
    # An asterisk exempts all hosts, but only if it is alone.
    if hosts != ["*"] and LOOPBACK not in hosts:
        hosts.append(LOOPBACK)
    # Programs differ in which of the two spellings they read.
    return {**environment, "no_proxy": ",".join(hosts), "NO_PROXY": ",".join(hosts)}
