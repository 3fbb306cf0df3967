"""The command ``check``: whether a run can work, without creating a job.

With ``--deep``, it also compares the tenant with what docs/assumptions.md assumes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from demandbase_api.config import state
from demandbase_api.errors import ApiError, ConfigurationError, DemandbaseError, UnreachableError
from demandbase_api.models import DEFAULT_SOURCE
from demandbase_api.settings_check import near_names
from demandbase_cli.errors import CommandError
from demandbase_cli.jobs import Kind, kinds
from demandbase_cli.options import age_or_date, common_options
from demandbase_cli.output import Table, show
from tap_demandbase.config import spool
from target_demandbase.config import rejects_folder
from target_demandbase.rejects import check_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from demandbase_api.errors import ApiOperation
    from demandbase_cli.deep.lines import Found, Line
    from demandbase_cli.settings import Settings
    from tap_demandbase.tap import TapDemandbase
    from target_demandbase.target import TargetDemandbase


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check has found.

    Args:
        side: What it is about.
        check: Name of the check.
        says: What it found, or why it failed.
        error: Its failure, if any.
    """

    side: Kind
    check: str
    says: str
    error: DemandbaseError | None = None

    @property
    def word(self) -> str:
        """Whether it passed."""
        return "ok" if self.error is None else "failed"


@click.command(short_help="Check what a run needs, without creating a job.")
@click.option("--exports", is_flag=True, help="Only check what the tap needs.")
@click.option("--imports", is_flag=True, help="Only check what the target needs.")
@click.option(
    "--deep",
    is_flag=True,
    help="Also compare the tenant with what the project assumes about the API. Nothing is changed, "
    "and no value of a record is printed: send the output to the maintainers.",
)
@click.option(
    "--allow-job",
    "allowed",
    multiple=True,
    metavar="STREAM",
    help="With --deep: create one export job of this stream, of two days if it has a date, else of "
    "all its records, and read its file. May be repeated.",
)
@click.option(
    "--day",
    callback=age_or_date,
    metavar="AGE",
    help="With --allow-job: the first of the two days, as an age such as 10d or a date.  [default: "
    "a Tuesday, 8 to 14 days ago]",
)
@common_options
def check(  # noqa: PLR0913
    *,
    settings: Settings,
    as_json: bool,
    exports: bool,
    imports: bool,
    deep: bool,
    allowed: tuple[str, ...],
    day: datetime | None,
) -> None:
    """Check credentials, permissions, discovery, fields and folders. No job is created."""
    sides = _sides(settings, exports=exports, imports=imports)
    if allowed and not (deep and Kind.EXPORT in sides):
        raise click.UsageError("--allow-job needs --deep, and the side of exports")
    if day is not None and not allowed:
        raise click.UsageError("--day needs --allow-job")
    outcomes: list[Outcome] = []
    calls: Counter[ApiOperation] = Counter()
    findings: list[Line] = []
    if deep:
        _announce(settings, sides, len(allowed))
    for side in sides:
        plugin: TapDemandbase | TargetDemandbase
        if side is Kind.EXPORT:
            plugin = tap = settings.tap()
            outcomes += _outcomes(side, _export_checks(tap))
            look = partial(_export_lines, tap, allowed, day)
        else:
            plugin = target = settings.target()
            outcomes += _outcomes(side, _import_checks(target))
            look = partial(_import_lines, target)
        if deep and not _is_over(outcomes):
            found = look()
            findings += found.lines
            outcomes += [
                Outcome(side, step, str(error), error) for step, error in found.failures.items()
            ]
        calls += Counter(plugin.apis.calls)
    _show(outcomes, calls, findings if deep else None, as_json=as_json)
    failed = [each for each in outcomes if each.error is not None]
    if failed and failed[0].error is not None:
        names = ", ".join(f"{each.side} {each.check}" for each in failed)
        raise CommandError(
            f"{len(failed)} of {len(outcomes)} checks failed: {names}.", failed[0].error.exit_code
        )


# The other commands start without what only --deep needs.


def _announce(settings: Settings, sides: Sequence[Kind], jobs: int) -> None:
    from demandbase_cli.deep.lines import announce  # noqa: PLC0415

    announce(settings, sides, jobs)


def _export_lines(tap: TapDemandbase, allowed: tuple[str, ...], day: datetime | None) -> Found:
    from demandbase_cli.deep.lines import export_lines  # noqa: PLC0415

    return export_lines(tap, allowed, None if day is None else day.date())


def _import_lines(target: TargetDemandbase) -> Found:
    from demandbase_cli.deep.lines import import_lines  # noqa: PLC0415

    return import_lines(target)


def _show(
    outcomes: Sequence[Outcome],
    calls: Mapping[ApiOperation, int],
    findings: Sequence[Line] | None,
    *,
    as_json: bool,
) -> None:
    spent = {operation.value: number for operation, number in calls.items()}
    lines = [
        {"side": each.side, "check": each.check, "is": each.word, "says": each.says}
        for each in outcomes
    ]
    document: dict[str, Any] = {"checks": lines, "calls": spent}
    tables = [
        Table(
            "Checks",
            ("Side", "Check", "Is", "Says"),
            [tuple(line.values()) for line in lines],
            "",
        ),
        Table(
            "Calls that were spent, without those for tokens",
            ("Call", "Number"),
            list(spent.items()),
            "No call was spent.",
        ),
    ]  # fmt: skip
    if findings is not None:
        from demandbase_cli.deep.lines import VERSION  # noqa: PLC0415

        document |= {"version": VERSION, "findings": [line.as_dict() for line in findings]}
        tables.append(
            Table(
                f"What singer-demandbase {VERSION} assumes (docs/assumptions.md), and the tenant",
                ("API", "Assumption", "Is", "Found"),
                [tuple(line.as_dict().values()) for line in findings],
                "Nothing was found, since checks failed.",
            )
        )
    show(document, *tables, as_json=as_json)


def _is_over(outcomes: Sequence[Outcome]) -> bool:
    """Return whether further calls would fail as well."""
    last = outcomes[-1].error if outcomes else None
    return last is not None and (last.ends_run or isinstance(last, UnreachableError))


def _sides(settings: Settings, *, exports: bool, imports: bool) -> tuple[Kind, ...]:
    """Return the sides to check: those that are chosen, else those that are configured."""
    if exports or imports:
        return kinds(exports=exports, imports=imports)
    return kinds(exports=settings.has_tap, imports=settings.has_target)


def _outcomes(side: Kind, checks: Sequence[tuple[str, Callable[[], str]]]) -> list[Outcome]:
    found: list[Outcome] = []
    for name, run in checks:
        try:
            found.append(Outcome(side, name, run()))
        except DemandbaseError as error:
            found.append(Outcome(side, name, str(error), error))
            if error.ends_run or isinstance(error, UnreachableError):
                break  # the others would fail as well, and each after its time
    return found


def _export_checks(tap: TapDemandbase) -> list[tuple[str, Callable[[], str]]]:
    def discovery() -> str:
        return f"{len(tap.catalog_dict['streams'])} streams"

    def job_list() -> str:
        next(iter(tap.export_api.jobs()), None)
        return "export jobs can be listed"

    def folder() -> str:
        spool(tap.config).check()
        return "spool_dir can be written"

    return [
        ("jobs", job_list),
        ("discovery", discovery),
        ("folder", folder),
        ("state", partial(_state, tap.config)),
    ]


def _state(config: Mapping[str, Any]) -> str:
    state(config).open()
    return "state_dir can be used"


def _import_checks(target: TargetDemandbase) -> list[tuple[str, Callable[[], str]]]:
    def job_list() -> str:
        next(iter(target.import_api.jobs()), None)
        return "import jobs can be listed"

    def fields() -> str:
        api = target.import_api
        numbers = {name: len(api.mappings(name)) for name in sorted(api.capabilities.entities)}
        words = ", ".join(f"{name} {number}" for name, number in numbers.items() if number)
        if not api.capabilities.mappings:
            return f"documented fields: {words}"
        return f"fields: {words}"

    def activity_types() -> str:
        api = target.import_api
        if not api.capabilities.activity_types:
            return "not with this API"
        return f"{len(api.activity_types())} types of activities"

    def folder() -> str:
        check_folder(rejects_folder(target.config))
        return f"rejects_path ({rejects_folder(target.config)}) can be written"

    return [
        ("jobs", job_list),
        ("fields", fields),
        ("activity types", activity_types),
        ("source", partial(_check_source, target)),
        ("folder", folder),
        ("state", partial(_state, target.config)),
    ]


def _check_source(target: TargetDemandbase) -> str:
    """Compare the setting source with the sources that Demandbase lists."""
    api, name = target.import_api, target.config["source"]
    if not api.capabilities.sources:
        return "not with this API"
    entities = sorted(api.capabilities.entities)
    try:
        listed = {entity: api.sources(entity) for entity in entities}
    except ApiError as error:
        if name != DEFAULT_SOURCE or error.ends_run:
            raise
        # The target does not look it up.
        return f"{name}, the default; the list of sources cannot be read: {error}"
    able = [entity for entity, names in listed.items() if name in names]
    if not able:
        known = sorted({each for names in listed.values() for each in names})
        raise ConfigurationError(
            f"Demandbase lists no source {name}{near_names(name, known)}: set source to one of "
            f"{', '.join(known) or DEFAULT_SOURCE}."
        )
    return f"{name} for {', '.join(able)}"
