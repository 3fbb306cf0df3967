"""The commands ``state get`` and ``state put``: the states of runs, kept in ``state_dir``."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from demandbase_api.config import state as state_place
from demandbase_api.errors import StateError
from demandbase_api.process import signals_ignored
from demandbase_cli.errors import CommandError
from demandbase_cli.options import common_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_api.state.ports import StateStore
    from demandbase_cli.settings import Settings

logger = logging.getLogger("demandbase")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_CHUNK_BYTES = 1024 * 1024


def _checked_id(_context: click.Context, _argument: click.Parameter, text: str) -> str:
    if not _ID.fullmatch(text):
        raise click.BadParameter(
            "it may have up to 200 letters and digits of ASCII, “.”, “_” and “-”, and begins with "
            "a letter or digit"
        )
    return text


@click.command()
@click.argument("state_id", metavar="ID", callback=_checked_id)
@common_options
def get(*, settings: Settings, as_json: bool, state_id: str) -> None:
    """Print the state that “state put ID” has kept in state_dir, or {} before the first run."""
    _ = as_json  # it always is JSON
    content = _store(settings).get(_name(state_id))
    click.echo("{}" if content is None else content.decode().rstrip("\n"))


@click.command()
@click.argument("state_id", metavar="ID", callback=_checked_id)
@common_options
def put(*, settings: Settings, as_json: bool, state_id: str) -> None:
    """Keep the newest state that a target prints, in state_dir; the end of a pipe.

    \b
    demandbase state get ID > state.json
    tap … --state=state.json | target … | demandbase state put ID

    Each state is written as soon as the target has printed it, so a run that is killed loses none.
    A last line that is not complete is left out. SIGINT and SIGTERM do not end the command: it ends
    when the target has. Two runs with one ID must not run at the same time.
    """  # noqa: D301 - click keeps the lines after a backspace
    _ = as_json  # it prints nothing
    if sys.stdin.isatty():
        raise CommandError("There is no target: pipe its output into “demandbase state put”.")
    with signals_ignored():
        store = _store(settings)
        name = _name(state_id)
        kept = store.get(name)
        for found in _states(sys.stdin.fileno()):
            content = f"{json.dumps(found)}\n".encode()
            if content != kept:
                _keep(store, name, content)
                kept = content


def _keep(store: StateStore, name: str, content: bytes) -> None:
    try:
        store.put(name, content, durable=True)
    except StateError as error:
        raise CommandError(
            f"A state of the run could not be kept, so its rows will come again. {error}"
        ) from None


def _store(settings: Settings) -> StateStore:
    """Return the states in ``state_dir``: that of the target, if only the target is configured."""
    is_import = settings.has_target and not settings.has_tap
    return state_place(settings.target_config if is_import else settings.tap_config).singer_states()


def _name(state_id: str) -> str:
    return f"{state_id}.json"


def _states(descriptor: int) -> Iterator[dict[str, Any]]:
    """Yield the newest state of the whole lines that have arrived, until the input ends."""
    rest = b""
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        states = [found for line in lines if (found := _parsed(line)) is not None]
        if states:
            yield states[-1]
    if rest.strip():
        logger.warning("The last line of the target's output is not complete, and is left out.")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the state in a line; a whole STATE message stands for its value."""
    if not line.strip():
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and found.get("type") == "STATE":
        found = found.get("value")
    if not isinstance(found, dict):
        logger.warning("The target prints lines that are not a state: they are left out.")
        return None
    return found
