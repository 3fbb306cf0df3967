"""The command ``quota``: what is used and left of the tenant's limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from demandbase_api.errors import ApiOperation
from demandbase_api.models import ExportJob
from demandbase_api.words import counted
from demandbase_cli.jobs import Kind, list_all
from demandbase_cli.options import common_options
from demandbase_cli.output import Table, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.ports import Apis
    from demandbase_cli.settings import Settings

_IMPORT_CALLS = {
    ApiOperation.CREATE_IMPORT,
    ApiOperation.UPLOAD_FILE,
    ApiOperation.GET_IMPORT,
    ApiOperation.LIST_IMPORTS,
    ApiOperation.LIST_ACTIVITY_TYPES,
    ApiOperation.GET_ACTIVITY_TYPE,
}
_RUNNING_SINCE = timedelta(days=2)
_DAY = timedelta(days=1)


@click.command(short_help="Show the calls used and left, the bytes exported, the jobs that run.")
@common_options
def quota(*, settings: Settings, as_json: bool) -> None:
    """Show the day's calls, the bytes exported in 24 hours and the jobs that run.

    It reads both lists of jobs, which are calls, too.
    """
    now = datetime.now(UTC)
    all_jobs = list_all(settings, tuple(Kind), now - _RUNNING_SINCE)
    found = {kind: [each for each in all_jobs.found if each.kind is kind] for kind in Kind}
    sizes = [
        each.job.file_size_bytes
        for each in found[Kind.EXPORT]
        if isinstance(each.job, ExportJob)
        and each.job.created_at is not None
        and each.job.created_at >= now - _DAY
    ]
    known = [size for size in sizes if size is not None]
    running = {
        kind: None
        if kind in all_jobs.failures
        else sum(each.job.status.is_running for each in found[kind])
        for kind in Kind
    }
    calls = calls_today(settings.export_apis, settings.import_apis)
    document = {
        "day": now.date(),
        "calls": calls,
        "exported_bytes_24h": sum(known) if known else None,
        "exports_24h": None if Kind.EXPORT in all_jobs.failures else len(sizes),
        "exports_24h_without_size": len(sizes) - len(known),
        "running_exports": running[Kind.EXPORT],
        "running_imports": running[Kind.IMPORT],
    }
    show(
        document,
        Table(
            f"Calls on {now.date()} (UTC), counted in state_dir: other clients are not seen",
            ("Call", "Used", "Left", "Limit"),
            [tuple(line.values()) for line in calls],
            "This API has no known daily limit of calls, so they are not counted.",
        ),
        *([] if Kind.EXPORT in all_jobs.failures else [_exported(sizes, known)]),
        f"{_running(running)} of the last 2 days have not ended.",
        as_json=as_json,
    )
    all_jobs.check()


def _running(numbers: Mapping[Kind, int | None]) -> str:
    known = [
        counted(number, f"{kind} job") for kind, number in numbers.items() if number is not None
    ]
    return " and ".join(known)


def calls_today(exports: Apis, imports: Apis) -> list[dict[str, Any]]:
    """Return the calls of the day by operation.

    Args:
        exports: The APIs by which the tap exports.
        imports: The APIs by which the target imports; their calls may be counted apart.
    """
    sides = ((exports, False), (imports, True))
    return [
        {
            "call": operation.value,
            "used": calls.used,
            "left": calls.left,
            "limit": calls.limit,
        }
        for apis, is_import in sides
        if apis.daily is not None
        for operation, calls in apis.daily.today().items()
        if (operation in _IMPORT_CALLS) is is_import
    ]


def _exported(sizes: list[int | None], known: list[int]) -> str:
    if not sizes:
        return "No export job was created in the last 24 hours."
    if not known:
        return f"{counted(len(sizes), 'export job')} in 24 hours; the list does not say the sizes."
    missing = len(sizes) - len(known)
    remark = f"; the list does not say the sizes of {missing}" if missing else ""
    return f"{sum(known):,} bytes in {counted(len(sizes), 'export job')} in 24 hours{remark}."
