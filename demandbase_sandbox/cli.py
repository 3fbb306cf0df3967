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
from demandbase_sandbox.options import MAX_PORT, SandboxOptions, new_token
from demandbase_sandbox.server import Sandbox
from demandbase_sandbox.tenant.sample import DEFAULT_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType


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

_PORT = click.IntRange(0, MAX_PORT)

_COUNT = click.IntRange(1)

_SECONDS = click.FloatRange(0)

_BYTES = click.IntRange(0)

OPTIONS = (
    click.option("--port", type=_PORT, help="Port of the v1 API. Default: any free one."),
    click.option("--uapi-port", type=_PORT, help="Port of the published API."),
    click.option("--client-id", help="Client id of the published API. Default: random."),
    click.option("--client-secret", help="Client secret of the published API. Default: random."),
    click.option("--token-seconds", type=_SECONDS, help="Lifetime of a minted token."),
    click.option("--files-port", type=_PORT, help="Port of the host behind signed links."),
    click.option("--token", help="Bearer token to accept. Default: random."),
    click.option("--seed", type=int, help="Seed of the sample tenant."),
    click.option(
        "--rows",
        multiple=True,
        callback=_rows,
        help="Sample rows, such as accounts=1000,people=5000.",
    ),
    click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="SQLite file of the tenant. Default: temporary.",
    ),
    click.option(
        "--faults",
        type=click.Path(path_type=Path),
        callback=_faults,
        help="JSON file with a list of faults.",
    ),
    click.option("--part-rows", type=_COUNT, help="Rows in one part of an export."),
    click.option("--pending-seconds", type=_SECONDS, help="Time before a job is processed."),
    click.option("--processing-seconds", type=_SECONDS, help="Time that a job's processing takes."),
    click.option("--job-expires-seconds", type=_SECONDS, help="Lifetime of an export's files."),
    click.option("--link-expires-seconds", type=_SECONDS, help="Lifetime of a signed link."),
    click.option("--daily-export-bytes", type=_BYTES, help="Export quota of a UTC day."),
    click.option("--max-upload-bytes", type=_BYTES, help="Maximum size of an import file."),
    click.option("--max-page-size", type=_COUNT, help="Maximum number of jobs on a page."),
    click.option(
        "--max-error-page-size", type=_COUNT, help="Maximum number of row errors on a page."
    ),
    click.option(
        "--row-number-base", type=click.IntRange(0, 2), help="Number of the first data row."
    ),
    click.option("--direct-download", is_flag=True, help="Send files without a signed link."),
    click.option("--byte-order-mark", is_flag=True, help="Begin each part with a byte order mark."),
    click.option(
        "--max-concurrent-export-jobs",
        type=_COUNT,
        help="Over uapi: maximum number of open export jobs.",
    ),
    click.option("--trial-export-bytes", type=_BYTES, help="Over uapi: export quota of a trial."),
    click.option(
        "--results-url-seconds", type=_SECONDS, help="Over uapi: lifetime of a link to results."
    ),
    click.option("--results-urls", is_flag=True, help="Over uapi: results in parts."),
    click.option("--label-headers", is_flag=True, help="Over uapi: use labels as headers."),
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
    settings = {"API_URL": url, "ACCESS_TOKEN": sandbox.token}
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
