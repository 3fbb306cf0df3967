"""All commands of ``demandbase``, and what their failures look like."""

from __future__ import annotations

import errno
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from typing_extensions import override

from demandbase_api.errors import EXIT_FAILURE
from demandbase_api.process import OutputFailure, exit_with_error, log_plain_text
from demandbase_api.redaction import plain
from demandbase_cli import catalog, check, jobs, journal, plan, quota, rejects, runs, state

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_USAGE = 2
"""The command line is wrong."""

logger = logging.getLogger("demandbase")


@click.group()
@click.version_option(package_name="singer-demandbase")
def demandbase() -> None:
    """See what tap-demandbase and target-demandbase did in Demandbase, and what is left.

    It has the settings of the plugins: --config FILE, or the variables TAP_DEMANDBASE_* and
    TARGET_DEMANDBASE_*. Each command prints JSON with --json, and has --help.

    \b
    Before a run:     check, plan, quota, catalog, state
    After a bad one:  runs, rejects, jobs, job, journal
    """  # noqa: D301 - click keeps the lines after a backspace, which no raw string has


for _command in (
    check.check,
    jobs.jobs,
    jobs.job,
    journal.journal,
    catalog.catalog,
    plan.plan,
    quota.quota,
    rejects.rejects,
    runs.runs,
    state.state,
):
    demandbase.add_command(_command)


class _Sentences(logging.Formatter):
    """Errors as they are, other messages with their level."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        level = record.levelname.capitalize()
        return message if record.levelno >= logging.CRITICAL else f"{level}: {message}"


class _Once(logging.Filter):
    """Leaves out what was said: the settings are read for each plugin, and some warn each time."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        is_new = text not in self._said
        self._said.add(text)
        return is_new


def run(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code.

    Args:
        arguments: The command line without the name of the command.
    """
    _log_sentences()
    if sys.stdin is None:  # it is closed, so there is nothing to read
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - until the end
    if sys.stdout is None:
        logger.critical("Standard output is closed, so there is no place to print to.")
        return EXIT_FAILURE
    try:
        demandbase.main(list(arguments), prog_name="demandbase", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        about = "".join(f" {word}" for word in _command_of(error))
        sentence = " ".join(error.format_message().split())
        end = "" if sentence.endswith((".", "?", "?)")) else "."
        logger.critical("%s%s See “demandbase%s --help”.", plain(sentence), end, about)
        return EXIT_USAGE
    except Exception as error:  # noqa: BLE001 - the last line of the log names any error
        if isinstance(error, OutputFailure) and error.errno == errno.EPIPE:
            return (
                EXIT_FAILURE  # no reader, as after “| head”: click ends so, too, and says nothing
            )
        exit_with_error(error, logger)
    return 0


def _command_of(error: click.ClickException) -> list[str]:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return [] if context is None else context.command_path.split()[1:]


def _log_sentences() -> None:
    log_plain_text()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Sentences())
    # The error of the settings says it, and why.
    handler.addFilter(lambda record: record.msg != "Config validation failed")
    handler.addFilter(_Once())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # The error after the last try says the same.
    logging.getLogger("demandbase_api.http.retry").setLevel(logging.ERROR)
