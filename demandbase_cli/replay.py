"""Replay: the rejected rows of a run, through the target again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from demandbase_api import run_files
from demandbase_api.config import api_url, chosen_api, state
from demandbase_api.models import adds_rows
from demandbase_api.run_files import RowsKind
from demandbase_api.startup import SIGNAL_EXIT
from demandbase_api.state.folder import IMPORT_REPORTS
from demandbase_api.words import counted
from demandbase_cli.errors import CommandError
from demandbase_cli.kept_rows import rows_by_stream, rows_of, sentence
from demandbase_cli.options import confirm
from demandbase_cli.output import show
from demandbase_cli.run_reports import TARGET, run_at, unreadable
from demandbase_cli.settings import ENVIRONMENT, TARGET_PREFIX
from demandbase_cli.signals import forwarding_signals
from target_demandbase.config import rejects_folder
from target_demandbase.row_errors import UNCORRELATED
from target_demandbase.schema import REJECT_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from demandbase_api.run_files import KeptRows
    from demandbase_cli.kept_rows import Kept
    from demandbase_cli.run_reports import Run
    from demandbase_cli.settings import Settings
    from target_demandbase.target import TargetDemandbase

_COMMAND = (sys.executable, "-c", "from target_demandbase.cli import main; main()")


def replay(kept: Kept, run: str, *, is_dry: bool, is_sure: bool, as_json: bool) -> None:
    """Send the rejected rows of a run again; mark their files once all were sent.

    Args:
        kept: What runs have kept.
        run: Name of the run.
        is_dry: Whether to check the rows only.
        is_sure: Whether not to ask.
        as_json: Whether to print JSON.

    Raises:
        CommandError: The rows cannot be sent, or were not all sent. No file has changed.
    """
    target = kept.settings.target()
    config = target.config
    is_dry = is_dry or config["dry_run"]
    own = [file for file in kept.files if file.run == run]
    files = [file for file in own if file.kind is RowsKind.REJECTED]
    if not files:
        raise CommandError(_nothing(run, own))
    if any(kept.may_grow(file) for file in files):
        raise CommandError(
            f"The run {run} has left no report, so it may still be under way: wait for its end. If "
            "it was killed, replay it an hour after the last change of its files."
        )
    _check_additions(target, files)
    lines = rows_of(files)
    total = counted(sum(line["rows"] for line in lines), "row")
    if not (is_sure or is_dry):
        confirm(
            [
                *map(sentence, lines),
                "Rows that were sent since for the same keys are overwritten.",
                f"Send {total} to {api_url(config)} (api: {chosen_api(config)})?",
            ]
        )
    with _only_one(rejects_folder(config)):
        report = _send(kept, run, files, lines, is_dry=is_dry)
    rejected = None if report is None else report.rows_rejected
    show(
        {
            "run": run,
            "is_dry_run": is_dry,
            "files": lines,
            "replayed_by": None if report is None or is_dry else report.name,
            "rows_rejected": rejected,
        },
        _outcome(total, rejected, None if report is None else report.name, is_dry=is_dry),
        *(f"The file is now {line['file']}" for line in lines if not is_dry),
        as_json=as_json,
    )


def _outcome(total: str, rejected: int | None, again: str | None, *, is_dry: bool) -> str:
    if is_dry:
        return (
            f"Dry run: {total} were checked, {rejected or 0:,} of which the target itself rejects. "
            "Nothing was sent."
        )
    if again is None:
        return f"{total} were sent again. See “demandbase runs”."
    if not rejected:
        return f"{total} were sent again by run {again}, and none was rejected."
    return (
        f"{total} were sent again by run {again}, {rejected:,} of which {_was(rejected)} rejected: "
        f"see “demandbase rejects {again}”."
    )


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _nothing(run: str, own: Sequence[KeptRows]) -> str:
    kinds = {file.kind for file in own}
    if RowsKind.REPLAYED in kinds:
        return f"The rejected rows of run {run} were sent again already."
    if RowsKind.UNDELIVERED in kinds:
        return (
            f"The run {run} rejected no row, and rows that it did not send come again from the "
            "tap. If they do not, send the files of “demandbase rejects” with “cat FILE | "
            "target-demandbase”."
        )
    return f"The run {run} has left no rejected row."


def _check_additions(target: TargetDemandbase, files: Sequence[KeptRows]) -> None:
    """Check that no row would be added twice.

    Raises:
        CommandError: Rows that Demandbase may have would be added once more.
    """
    config, known = target.config, target.import_api.capabilities.entities
    for stream, rows in rows_by_stream(files, REJECT_TYPE, UNCORRELATED).items():
        entity = (config.get("entity_map") or {}).get(stream, stream)
        # A stream without an entity has one after stream maps.
        if adds_rows(entity, config["operation"]) or entity not in known:
            raise CommandError(
                f"{counted(rows, 'row')} of stream {stream} are {UNCORRELATED}: Demandbase has "
                f"most of them, and would add them twice. Remove these from {_paths(files)}, and "
                f"{REJECT_TYPE} from the others."
            )


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep two commands from sending the same rows.

    Raises:
        CommandError: Another command replays.
    """
    # Commands start without filelock.
    from filelock import FileLock, Timeout  # noqa: PLC0415

    path = folder / "replay.lock"
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise CommandError("Another command replays rejected rows: wait for its end.") from None
    except OSError as error:
        raise unreadable(folder, error) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _send(
    kept: Kept,
    run: str,
    files: Sequence[KeptRows],
    lines: list[dict[str, Any]],
    *,
    is_dry: bool,
) -> Run | None:
    """Run the target over files and mark them; return its report.

    Raises:
        CommandError: Not all rows were sent.
    """
    from demandbase_api.state.folder_store import FolderStore  # noqa: PLC0415

    with TemporaryDirectory() as temporary:
        settings = kept.settings
        changes: dict[str, Any] = {"on_reject": "continue"}
        changes |= dict.fromkeys(("max_rejected_rows", "max_rejected_percent"))
        folder = rejects_folder(settings.target_config)
        if is_dry:  # rows that are rejected are still in the files
            folder = Path(temporary)
            changes |= {"dry_run": True, "rejects_path": temporary}
        copies = None if is_dry else state(settings.target_config).copies(IMPORT_REPORTS)
        store = FolderStore(folder) if copies is None else copies
        before = set(run_files.reports(store))
        code = _run_target(settings, changes, files)
        reports = [name for run, name in run_files.reports(store).items() if run not in before]
        # Another run may have ended meanwhile.
        report = run_at(TARGET, store, reports[0]) if len(reports) == 1 else None
    if code:
        raise CommandError(
            f"Not all rows of run {run} were sent again, as the lines above say: {_paths(files)} "
            "is as it was.",
            code,
        )
    if any(file.has_changed() for file in files):
        raise CommandError(f"{_paths(files)} changed meanwhile, and stays as it is.")
    if not is_dry:
        for file, line in zip(files, lines, strict=True):
            line["file"] = file.mark_replayed()
    return report


def _run_target(settings: Settings, changes: Mapping[str, Any], files: Sequence[KeptRows]) -> int:
    """Run the command of the target over files; return its exit code.

    Args:
        settings: Its settings.
        changes: Settings that differ.
        files: Files of Singer messages.
    """
    environment = dict(os.environ)
    if ENVIRONMENT in settings.sources:  # variables replace the settings of files
        environment |= settings.target_objects | _variables(changes)
        for name, value in changes.items():
            if value is None:
                environment.pop(f"{TARGET_PREFIX}{name.upper()}", None)
    with TemporaryDirectory() as folder:
        changed = Path(folder) / "config.json"
        changed.write_text(json.dumps(changes), encoding="utf-8")
        sources = [*settings.sources, str(changed)]
        options = [word for source in sources for word in ("--config", source)]
        with forwarding_signals() as children:
            child = subprocess.Popen(  # noqa: S603 - this interpreter
                [*_COMMAND, *options],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            children.append(child)
            assert child.stdin is not None  # noqa: S101 - a pipe
            with suppress(BrokenPipeError), child.stdin as pipe:  # it may end early, and says why
                for file in files:
                    with file.open() as lines:
                        shutil.copyfileobj(lines, pipe)
            code = child.wait()
    return code if code >= 0 else SIGNAL_EXIT - code


def _variables(changes: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as variables."""
    return {
        f"{TARGET_PREFIX}{name.upper()}": str(value).lower() if isinstance(value, bool) else value
        for name, value in changes.items()
        if value is not None
    }


def _paths(files: Sequence[KeptRows]) -> str:
    return ", ".join(file.location for file in files)
