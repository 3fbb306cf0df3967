"""The lines of ``demandbase check --deep``, for a person and for the maintainers."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as member
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from demandbase_api.config import chosen_api
from demandbase_api.errors import DemandbaseError, UnreachableError
from demandbase_cli.deep.collect import (
    Step,
    calls_at_most,
    export_steps,
    import_steps,
    sample_day,
    take_sample,
)
from demandbase_cli.deep.evidence import Evidence, Finding
from demandbase_cli.deep.guesses import GUESSES, Facts
from demandbase_cli.deep.sample_guesses import SAMPLE_GUESSES
from demandbase_cli.jobs import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from demandbase_api.config import Api
    from demandbase_cli.settings import Settings
    from tap_demandbase.tap import TapDemandbase
    from target_demandbase.target import TargetDemandbase

VERSION = metadata.version("singer-demandbase")


@dataclass(frozen=True, slots=True)
class Line:
    """What was found about one assumption.

    Args:
        api: The API.
        name: Name of the assumption in docs/assumptions.md; with the stream of its export.
        finding: What was found.
    """

    api: Api
    name: str
    finding: Finding

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "api": self.api.value,
            "assumption": self.name,
            "is": self.finding.verdict.value,
            "found": self.finding.says,
        }


@dataclass
class Found:
    """What one side shows.

    Args:
        failures: Errors by what was to be read.
    """

    lines: list[Line] = member(default_factory=list)
    failures: dict[str, DemandbaseError] = member(default_factory=dict)


def announce(settings: Settings, kinds: Sequence[Kind], jobs: int) -> None:
    """Say which calls will be made, before the first."""
    for kind in kinds:
        apis = settings.export_apis if kind is Kind.EXPORT else settings.import_apis
        config = settings.tap_config if kind is Kind.EXPORT else settings.target_config
        today = {} if apis.daily is None else apis.daily.today()
        calls = calls_at_most(kind, apis, chosen_api(config), jobs)
        words = [
            f"{operation.value} {number}"
            + (f" of {today[operation].left:,} left today" if operation in today else "")
            for operation, number in calls.items()
        ]
        polls = ", and a poll of the list until each export has ended" if jobs else ""
        click.echo(
            f"Calls for the {kind}s at most: {', '.join(words)}"
            f"{polls if kind is Kind.EXPORT else ''}.",
            err=True,
        )


def export_lines(tap: TapDemandbase, allowed: tuple[str, ...], day: date | None) -> Found:
    """Return what exports show.

    Args:
        tap: The tap.
        allowed: Streams of which an export may be created.
        day: First of the two days to export. Default: a Tuesday whose data has arrived.
    """
    found, evidence = Found(), Evidence(tap.clock)
    tap.apis.observers.append(evidence)
    facts = Facts(chosen_api(tap.config), evidence)
    first = day or sample_day(tap.clock.utc().date())
    samples = _samples(tap, allowed, first, facts, found)
    # After the exports, so that the lists have their jobs.
    if _collect(export_steps(tap, facts), found):
        _add(Kind.EXPORT, facts, found)
    found.lines += samples
    return found


def _samples(
    tap: TapDemandbase, allowed: tuple[str, ...], first: date, facts: Facts, found: Found
) -> list[Line]:
    """Return what exports of some streams show."""
    if not allowed:
        return []
    lines: list[Line] = []
    tap.setup_mapper()
    try:
        for name in allowed:
            try:
                sample = take_sample(tap, name, first, facts)
            except DemandbaseError as error:
                found.failures[f"job of {name}"] = error
                continue
            lines += [
                Line(facts.api, f"{guess.name} ({name})", guess.find(sample, facts.evidence))
                for guess in SAMPLE_GUESSES
                if guess.is_about(facts.api, name)
            ]
    finally:
        tap.exporter.close()
    return lines


def import_lines(target: TargetDemandbase) -> Found:
    """Return what imports show."""
    found, evidence = Found(), Evidence(target.clock)
    target.apis.observers.append(evidence)
    facts = Facts(chosen_api(target.config), evidence)
    if _collect(import_steps(target, facts), found):
        _add(Kind.IMPORT, facts, found)
    return found


def _collect(steps: Sequence[Step], found: Found) -> bool:
    """Take steps; return whether the others can follow."""
    for name, step in steps:
        try:
            step()
        except DemandbaseError as error:
            found.failures[name] = error
            if error.ends_run or isinstance(error, UnreachableError):
                return False
            if name == "job list":
                return False
    return True


def _add(kind: Kind, facts: Facts, found: Found) -> None:
    found.lines += [
        Line(facts.api, guess.name, guess.find(facts))
        for guess in GUESSES
        if guess.kind is kind and facts.api in guess.apis
    ]
