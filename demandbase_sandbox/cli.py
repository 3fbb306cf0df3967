"""The command ``demandbase-sandbox``."""

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

from demandbase_sandbox.exceptions import reason_of
from demandbase_sandbox.faults import faults_from_json
from demandbase_sandbox.options import MAX_PORT, SandboxOptions, new_token
from demandbase_sandbox.server import Sandbox
from demandbase_sandbox.tenant.sample import DEFAULT_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType


LOOPBACK = "127.0.0.1"


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which calls to 127.0.0.1 go through no proxy."""
    exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in exempt.split(",") if host.strip()]
    # A lone asterisk exempts all hosts, and only as long as it is alone.
    if hosts != ["*"] and LOOPBACK not in hosts:
        hosts.append(LOOPBACK)
    # Which of the two spellings counts differs from program to program.
    return {**environment, "no_proxy": ",".join(hosts), "NO_PROXY": ",".join(hosts)}


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
    help="Which API to tell of; both are served.",
)

_PORT = click.IntRange(0, MAX_PORT)

_COUNT = click.IntRange(1)

_SECONDS = click.FloatRange(0)

_BYTES = click.IntRange(0)

OPTIONS = (
    click.option("--port", type=_PORT, help="Port of the API; a free one by default."),
    click.option("--uapi-port", type=_PORT, help="Port of the published API."),
    click.option("--client-id", help="Client id to mint tokens for; made up by default."),
    click.option("--client-secret", help="The secret that goes with it; made up by default."),
    click.option("--token-seconds", type=_SECONDS, help="Life of a minted token."),
    click.option("--files-port", type=_PORT, help="Port of the host behind signed links."),
    click.option("--token", help="Bearer token to accept; made up by default."),
    click.option("--seed", type=int, help="Same seed, same tenant."),
    click.option("--rows", multiple=True, callback=_rows, help="As in accounts=1000,people=5000."),
    click.option("--data", type=click.Path(path_type=Path), help="SQLite file to keep."),
    click.option(
        "--faults",
        type=click.Path(path_type=Path),
        callback=_faults,
        help="JSON file that scripts trouble.",
    ),
    click.option("--part-rows", type=_COUNT, help="Rows in one part of an export."),
    click.option("--pending-seconds", type=_SECONDS, help="How long jobs wait."),
    click.option("--processing-seconds", type=_SECONDS, help="How long jobs are worked on."),
    click.option("--job-expires-seconds", type=_SECONDS, help="Life of an export's files."),
    click.option("--link-expires-seconds", type=_SECONDS, help="Life of a signed link."),
    click.option("--daily-export-bytes", type=_BYTES, help="Quota of a UTC day."),
    click.option("--max-upload-bytes", type=_BYTES, help="Largest import file."),
    click.option("--max-page-size", type=_COUNT, help="Most jobs on one page."),
    click.option("--max-error-page-size", type=_COUNT, help="Most row errors on one page."),
    click.option(
        "--row-number-base", type=click.IntRange(0, 2), help="Number of the first data row."
    ),
    click.option("--direct-download", is_flag=True, help="Send files without a signed link."),
    click.option("--byte-order-mark", is_flag=True, help="Begin each part with a BOM."),
    click.option("--max-concurrent-export-jobs", type=_COUNT, help="Over uapi: open jobs at once."),
    click.option("--trial-export-bytes", type=_BYTES, help="Over uapi: allowance of a trial."),
    click.option("--results-url-seconds", type=_SECONDS, help="Over uapi: life of a link."),
    click.option("--results-urls", is_flag=True, help="Over uapi: results in parts."),
    click.option("--label-headers", is_flag=True, help="Over uapi: labels head the columns."),
    click.option("--gzip", is_flag=True, help="Send parts as gzip files."),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """Run a local stand-in for a Demandbase tenant."""


@main.command()
@_with_options
@_API
def serve(api: str, **options: Any) -> None:  # noqa: ANN401
    """Serve until interrupted; print address and credentials as one line of JSON."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)
    _on_signals(lambda _: _leave(0))
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
    """Serve while COMMAND runs, with both plugins' settings in its environment."""
    _on_signals(lambda number: _leave(SIGNAL_EXIT + number))
    with _sandbox(options) as sandbox:
        environment = _environment(sandbox, api)
        early: list[int] = []
        # A signal must not come between the child's start and the knowledge of it.
        _on_signals(early.append)
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 - what the user typed
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
    settings = {"API_URL": url, "ACCESS_TOKEN": sandbox.token}
    if api == _UAPI:
        credentials = {"CLIENT_ID": sandbox.client_id, "CLIENT_SECRET": sandbox.client_secret}
        settings = {"API": api, "API_URL": url, **credentials}
    for plugin in ("TAP_DEMANDBASE", "TARGET_DEMANDBASE"):
        if api == _UAPI:
            # A token from outside would take the place of the credentials.
            environment.pop(f"{plugin}_ACCESS_TOKEN", None)
        environment |= {f"{plugin}_{name}": value for name, value in settings.items()}
    return {**environment, "DEMANDBASE_SANDBOX_URL": url}


def _on_signals(act: Callable[[int], object]) -> None:
    def handle(number: int, _frame: FrameType | None) -> None:
        act(number)

    for number in SIGNALS:
        signal.signal(number, handle)


def _leave(code: int) -> NoReturn:
    # One signal is enough: a second one would disturb the cleaning up.
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
        raise click.UsageError(f"The sandbox cannot start: {place}{reason_of(problem)}") from None
    except (OSError, sqlite3.Error) as error:
        raise click.UsageError(f"The sandbox cannot start: {error}") from None
