"""The command ``state``: the bookmarks of the tap in words, and a corrected state."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import click
from typing_extensions import override

from demandbase_api.errors import DemandbaseError
from demandbase_cli import output, run_state
from demandbase_cli.errors import CommandError
from demandbase_cli.options import common_options
from demandbase_cli.output import Table, timestamp
from tap_demandbase import bookmark
from tap_demandbase.windows import midnight, parse_timestamp

if TYPE_CHECKING:
    from demandbase_cli.settings import Settings


class _ShowsFile(click.Group):
    """Commands about states; anything but the name of one of them is the file to show."""

    @property
    def default(self) -> click.Command:
        """The command whose name may be left out."""
        return self.commands["show"]

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ShowsFile, short_help="Show the bookmarks of a state, or change them.")
def state() -> None:
    """Show a state or change it, or keep the states of runs.

    “demandbase state FILE” stands for “demandbase state show FILE”.
    """


state.add_command(run_state.get)
state.add_command(run_state.put)


@state.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--reset", "resets", multiple=True, metavar="STREAM", help="Remove its bookmark.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="STREAM=DATE",
    help="Let the next run export the stream from this date on, less lookback_days.",
)
@common_options
def show(
    *,
    settings: Settings,
    as_json: bool,
    file: IO[str],
    resets: tuple[str, ...],
    changes: tuple[str, ...],
) -> None:
    """Show the bookmarks in a state FILE (- for standard input), or print a changed state.

    The file has the tap's last STATE message, its value, or what “meltano state get” prints. It is
    not changed. With --reset or --set, the new state is printed, to be used with --state or
    “meltano state set”.
    """
    _ = settings  # a state has all that is needed
    around, found = read_state(file)
    if resets or changes:
        for stream in resets:
            found = without_bookmark(found, stream)
        for change in changes:
            found = with_date(found, change)
        # One line, as “state put” and “tail -1” need it.
        click.echo(json.dumps(found if around is None else {**around, _MELTANO: found}))
        return
    lines = [_line(name, own) for name, own in found.get("bookmarks", {}).items()]
    output.show(
        lines,
        Table(
            "Bookmarks",
            ("Stream", "By", "Rows until", "Resumes at", "Last job", "Says"),
            [tuple(line[name] for name in _SHOWN) for line in lines],
            "The state has no bookmark: each stream starts from the beginning.",
        ),
        as_json=as_json,
    )
    if unusable := [line["stream"] for line in lines if line["is"] == _UNUSABLE]:
        raise CommandError(
            f"The tap cannot use the state of {', '.join(unusable)}: correct it, or remove it with "
            "--reset."
        )


_MELTANO = "singer_state"
"""Member of Meltano's own state that has the state of the tap."""

_SHOWN = ("stream", "replication_key", "rows_until", "resumes_at", "last_job", "says")
_UNUSABLE = "unusable"


def without_bookmark(state: dict[str, Any], stream: str) -> dict[str, Any]:
    """Return a state without the bookmark of a stream: it starts from the beginning.

    Raises:
        CommandError: The state does not have the stream.
    """
    _check_stream(state, stream)
    changed = deepcopy(state)
    del changed["bookmarks"][stream]
    return changed


def with_date(state: dict[str, Any], change: str) -> dict[str, Any]:
    """Return a state whose bookmark of a stream is at a date.

    The next run does not resume an interrupted one, and reuses no delivered job.

    Args:
        state: The state.
        change: ``STREAM=DATE``.

    Raises:
        CommandError: It is malformed, or the state has no bookmark of the stream.
    """
    stream, _, text = change.partition("=")
    try:
        value = parse_timestamp(text)
    except ValueError:
        raise CommandError(
            f"--set {change[:100]} is not of the form STREAM=DATE: give an ISO-8601 date, as in "
            "people=2026-01-31."
        ) from None
    _check_stream(state, stream)
    if value > datetime.now(UTC):
        raise CommandError(f"--set {change[:100]} is in the future: nothing would be exported.")
    own = state["bookmarks"][stream]
    if not isinstance(own, dict) or not own.get(bookmark.KEY):
        raise CommandError(
            f"The stream {stream} has no date bookmark: it is exported as a whole, or has not run "
            "yet. Set start_date for its first run."
        )
    changed = deepcopy(state)
    bookmark.write(changed["bookmarks"][stream], own[bookmark.KEY], bookmark.Bookmark(value))
    return changed


def _check_stream(state: dict[str, Any], stream: str) -> None:
    if stream not in state.get("bookmarks", {}):
        names = ", ".join(state.get("bookmarks", {})) or "no stream"
        raise CommandError(f"The state has no bookmark of stream {stream[:100]}: it has {names}.")


def read_state(file: IO[str]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return Meltano's object around a state, if there is one, and the state."""
    try:
        found = json.load(file)
    except (ValueError, RecursionError):
        raise CommandError(
            "The state is not JSON: give the tap's last STATE message, or its value, as a file."
        ) from None
    is_wrapped = isinstance(found, dict) and _MELTANO in found
    state = bookmark.usable_state(found[_MELTANO] if is_wrapped else found)
    return (found if is_wrapped else None), state


def _line(stream: str, own: object) -> dict[str, Any]:
    key = own.get(bookmark.KEY) if isinstance(own, dict) else None
    known = key if isinstance(key, str) else None
    problem = None
    try:
        mark = bookmark.read(own, known, stream)
    except DemandbaseError as error:
        problem, mark = str(error), bookmark.Bookmark()
    delivered = mark.delivered
    found = {
        "stream": stream,
        "replication_key": known,
        "rows_until": mark.value,
        "resumes_at": mark.next_window,
        "last_job": None if delivered is None else delivered.newest.id,
        "last_job_created_at": None if delivered is None else delivered.newest.created_at,
    }
    is_foreign = isinstance(own, dict) and bool(own.get("partitions"))
    return {
        **found,
        "is": _UNUSABLE if problem is not None else "usable",
        "says": problem or _words(found, is_foreign=is_foreign),
    }


def _words(line: dict[str, Any], *, is_foreign: bool) -> str:
    if line["rows_until"] is None:
        if is_foreign:
            return "partitions of another tap, which are ignored: from the beginning"
        return "exported as a whole, or from the beginning"
    if line["resumes_at"] is not None:
        return f"interrupted: the next run resumes with {line['resumes_at']}"
    created_at = line["last_job_created_at"]
    when = f", by a job of {timestamp(created_at)}" if isinstance(created_at, datetime) else ""
    is_day = line["rows_until"] == midnight(line["rows_until"].date())
    until = line["rows_until"].date() if is_day else timestamp(line["rows_until"])
    return f"complete until {until}{when}"
