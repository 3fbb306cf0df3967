"""The command ``demandbase-sandbox``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from demandbase_sandbox.faults import faults_from_json
from demandbase_sandbox.options import SandboxOptions, new_token
from demandbase_sandbox.sample import DEFAULT_ROWS
from demandbase_sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNAL_EXIT = 128


def _rows(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Any:  # noqa: ANN401
    counts: dict[str, int] = {}
    for item in ",".join(values).split(","):
        name, _, number = item.partition("=")
        if item and (name not in DEFAULT_ROWS or not number.isdigit()):
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


OPTIONS = (
    click.option("--port", default=0, help="Port of the API; 0 takes a free one."),
    click.option("--files-port", default=0, help="Port of the host behind signed links."),
    click.option("--token", default="", help="Bearer token to accept; made up where absent."),
    click.option("--seed", default=1, help="Same seed, same tenant.", show_default=True),
    click.option("--rows", multiple=True, callback=_rows, help="As in accounts=1000,people=5000."),
    click.option("--data", type=click.Path(path_type=Path), help="SQLite file to keep."),
    click.option(
        "--faults",
        type=click.Path(path_type=Path),
        callback=_faults,
        help="JSON file that scripts trouble.",
    ),
    click.option("--part-rows", type=click.IntRange(1), default=500, show_default=True),
    click.option("--pending-seconds", default=0.2, show_default=True),
    click.option("--processing-seconds", default=0.3, show_default=True),
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
def serve(**options: Any) -> None:  # noqa: ANN401
    """Serve until interrupted; print the address and the token as one line of JSON."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with _sandbox(options) as sandbox:
        address = {"url": sandbox.url, "token": sandbox.token, "files_url": sandbox.files_url}
        click.echo(json.dumps(address))
        stopped.wait()


@main.command(context_settings={"ignore_unknown_options": True})
@_with_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401
    """Serve while COMMAND runs, with both plugins' settings in its environment."""
    with _sandbox(options) as sandbox:
        environment = {**os.environ, "DEMANDBASE_SANDBOX_URL": sandbox.url}
        for plugin in ("TAP_DEMANDBASE", "TARGET_DEMANDBASE"):
            environment[f"{plugin}_API_URL"] = sandbox.url
            environment[f"{plugin}_ACCESS_TOKEN"] = sandbox.token
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 - what the user typed
        except OSError as error:
            click.echo(f"demandbase-sandbox: {command[0]}: {error.strerror}", err=True)
            sys.exit(127)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, _: child.send_signal(received))
        code = child.wait()
    sys.exit(code if code >= 0 else SIGNAL_EXIT - code)


def _sandbox(options: dict[str, Any]) -> Sandbox:
    options["token"] = options["token"] or new_token()
    try:
        return Sandbox(SandboxOptions(**options))
    except OSError as error:
        raise click.ClickException(f"the sandbox cannot start: {error}") from None
