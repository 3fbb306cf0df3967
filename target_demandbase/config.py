"""The target's settings: schema, checks, and the values that are derived from them."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from demandbase_api import config as api_config
from demandbase_api.config import MAX_SECONDS, checked_path, state, with_api_settings
from demandbase_api.errors import ConfigurationError
from demandbase_api.jobs.import_journal import ImportJournal
from demandbase_api.models import ACTIVITIES, DEFAULT_SOURCE, ImportOperation, ListAction
from demandbase_api.settings_check import near_names
from demandbase_api.settings_values import NULL
from demandbase_api.state.folder import IMPORT_JOURNAL
from target_demandbase.csv_writer import OnNull
from target_demandbase.report import OUTCOMES_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demandbase_api.connection import Connection
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.ports import ImportCapabilities


logger = logging.getLogger("target-demandbase")

_MIN_ROWS_FOR_PERCENT = 1000

_REJECTS = Path("rejects")

_SECONDS = th.IntegerType(minimum=1, maximum=MAX_SECONDS)

_TEXT_BY_NAME = th.ObjectType(additional_properties=th.StringType)

_CONFIG = th.PropertiesList(
    th.Property(
        "operation",
        th.StringType,
        default="upsert",
        allowed_values=[operation.value for operation in ImportOperation],
        title="Operation",
        description="What Demandbase does with rows: insert, update, or upsert by match key. With "
        "api: uapi only upsert, matched by fixed rules.",
    ),
    th.Property(
        "entity_map",
        _TEXT_BY_NAME,
        title="Entity map",
        description="Entity (accounts, people, opportunities or activities) by stream. Default: "
        "the entity with the stream's name.",
    ),
    th.Property(
        "match_keys",
        _TEXT_BY_NAME,
        title="Match keys",
        description="Demandbase field that rows are matched on, by entity. Default: the stream's "
        "single key property. Not with api: uapi, which matches rows by fixed rules.",
    ),
    th.Property(
        "field_mappings",
        th.ObjectType(
            additional_properties=th.ObjectType(
                additional_properties=th.CustomType({"type": ["string", "null"]})
            )
        ),
        title="Field mappings",
        description="Demandbase field by column, by entity, for columns with other names; "
        "`__NULL__` leaves a column out (null does, too, but Meltano drops it). With api: uapi the "
        "field's label.",
    ),
    th.Property(
        "custom_fields",
        th.ObjectType(additional_properties=th.ArrayType(th.StringType)),
        title="Custom fields",
        description="With api: uapi, labels of fields that exist in the tenant, by entity, in "
        "addition to the documented ones. Only documented labels and these are sent, since any "
        "other label would create a field in the tenant.",
    ),
    th.Property(
        "activity_types",
        th.ObjectType(additional_properties=th.CustomType({"type": ["string", "integer"]})),
        title="Activity types",
        description="With api: uapi, id or name of the activity type by stream, for streams of "
        "activities.",
    ),
    th.Property(
        "source",
        th.StringType(min_length=1),
        default=DEFAULT_SOURCE,
        title="Source",
        description="With api: uapi, name of the source that imports come from. Demandbase has to "
        "list it for each entity that is imported.",
    ),
    th.Property(
        "list_action",
        th.StringType,
        default=ListAction.NOOP.value,
        allowed_values=[action.value for action in ListAction],
        title="List action",
        description="With api: uapi, what an import of accounts does to its account list: noop "
        "leaves it unchanged, insert adds the file's accounts, delete removes them, replace "
        "empties the list first.",
    ),
    th.Property(
        "unknown_fields",
        th.StringType,
        default="fail",
        allowed_values=["fail", "drop"],
        title="Unknown fields",
        description="What happens to columns that Demandbase does not know: fail ends the run, "
        "drop leaves them out. If field_mappings names such a field, the run ends in any case.",
    ),
    th.Property(
        "batch_size_rows",
        th.IntegerType(minimum=1),
        default=100_000,
        title="Batch size",
        description="Maximum number of rows in an import job.",
    ),
    th.Property(
        "max_file_bytes",
        th.IntegerType(minimum=1024),
        default=104_857_600,
        title="Largest file",
        description="Maximum size of an import file in bytes.",
    ),
    th.Property(
        "on_null",
        th.StringType,
        default="blank",
        allowed_values=[each.value for each in OnNull],
        title="On null",
        description="How to handle null and empty strings: blank clears the field in Demandbase, "
        "omit leaves it unchanged, as a missing property does; blank_absent is like blank, and a "
        "missing property clears its field, too, so that sparse records share one job.",
    ),
    th.Property(
        "on_reject",
        th.StringType,
        default="fail",
        allowed_values=["fail", "continue"],
        title="On reject",
        description="What to do with rejected rows: fail ends the run after the batch, without its "
        "state; continue writes them to rejects_path and continues.",
    ),
    th.Property(
        "max_rejected_rows",
        th.IntegerType(minimum=0),
        title="Maximum rejected rows",
        description="With on_reject: continue, maximum number of rejected rows before the run "
        "fails. Default: unlimited.",
    ),
    th.Property(
        "max_rejected_percent",
        th.IntegerType(minimum=0, maximum=100),
        title="Maximum share of rejected rows",
        description="With on_reject: continue, maximum percentage of the rows read that may be "
        "rejected before the run fails. Default: unlimited.",
    ),
    th.Property(
        "rejects_path",
        th.StringType(min_length=1),
        title="Rejects folder",
        description="Folder for rejected rows, which contain your data, and for reports of runs. "
        "Default: rejects in the working folder; if that cannot be written, in state_dir, or in "
        "spool_dir if state_dir is a URL.",
    ),
    th.Property(
        "dry_run",
        th.BooleanType,
        default=False,
        title="Dry run",
        description="Validate everything and write the CSV files to rejects_path, but change "
        "nothing in Demandbase and emit no state.",
    ),
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        default=1,
        title="Concurrent jobs",
        description="Maximum number of import jobs of a stream that run at the same time. With 2, "
        "a run that waits for its jobs may take little more than half as long: see "
        "docs/imports.md.",
    ),
    th.Property(
        "job_timeout_seconds",
        _SECONDS,
        default=21600,
        title="Job time-out",
        description="Seconds that the run waits for a job before it ends with exit code 75. The "
        "next run resumes the job.",
    ),
    th.Property(
        "request_timeout_seconds",
        _SECONDS,
        default=300,
        title="Request time-out",
        description="Seconds without data after which a request fails.",
    ),
    th.Property(
        "spool_dir",
        th.StringType,
        title="Spool folder",
        description="Folder for CSV files until they are sent, and for what is in state_dir if "
        "that is not set. Default: the system's temporary folder.",
    ),
).to_dict()

CONFIG = with_api_settings(_CONFIG)


def connection(config: Mapping[str, Any], retry: RetryPolicy) -> Connection:
    """Return the address and credentials of the API, from the settings."""
    return api_config.connection(config, retry, "target-demandbase")


class OnReject(StrEnum):
    """The setting on_reject."""

    FAIL = "fail"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class RejectPolicy:
    """When rejected rows end the run.

    Args:
        on_reject: Whether any rejected row does.
        max_rows: Maximum number of rejected rows in the run. ``None``: unlimited.
        max_percent: Maximum percentage of the rows read so far. ``None``: unlimited.
    """

    on_reject: OnReject
    max_rows: int | None = None
    max_percent: float | None = None

    def breach(self, rejected: int, read: int, *, is_all: bool = True) -> str | None:
        """Return why the run has to end, as a clause, or ``None`` if it continues.

        Args:
            rejected: Rows rejected so far in the run.
            read: Rows read so far in the run.
            is_all: Whether no more rows follow. Before, a percentage of a few rows means little.
        """
        if not rejected:
            return None
        if self.on_reject is OnReject.FAIL:
            return "on_reject is fail"
        if self.max_rows is not None and rejected > self.max_rows:
            return f"{rejected} rejected rows are more than max_rejected_rows ({self.max_rows})"
        share = 100 * rejected / max(read, rejected)
        is_meaningful = is_all or read >= _MIN_ROWS_FOR_PERCENT
        if self.max_percent is not None and is_meaningful and share > self.max_percent:
            return (
                f"{share:.1f} % rejected rows are more than max_rejected_percent "
                f"({self.max_percent:g})"
            )
        return None


def reject_policy(config: Mapping[str, Any]) -> RejectPolicy:
    """Return the policy for rejected rows, from the settings."""
    return RejectPolicy(
        OnReject(config["on_reject"]),
        config.get("max_rejected_rows"),
        config.get("max_rejected_percent"),
    )


def destination(config: Mapping[str, Any]) -> str:
    """Return the API and list action, which are part of a file's fingerprint, as one text."""
    url, action = api_config.api_url(config), config["list_action"]
    return url if action == ListAction.NOOP.value else f"{url}?listAction={action}"


def import_journal(config: Mapping[str, Any], run: str) -> ImportJournal:
    """Return the journal of open jobs.

    Args:
        config: The settings.
        run: Unique name of the run.

    Raises:
        SpoolError: What outlives a run cannot be used.
    """
    place = state(config)
    locks = place.locks(IMPORT_JOURNAL, run)
    return ImportJournal(place.store(IMPORT_JOURNAL), locks, run, api_config.api_url(config))


def rejects_folder(config: Mapping[str, Any]) -> Path:
    """Return the folder for rejected rows and reports, from the settings.

    Raises:
        SpoolError: It is in the state folder, which cannot be used.
    """
    if text := config.get("rejects_path"):
        return checked_path("rejects_path", text)
    # The process need not be allowed to write where it was started, as in a container.
    if _can_write_in(_REJECTS if _REJECTS.is_dir() else Path()):
        return _REJECTS
    folder = state(config).open() / _REJECTS
    _log_other_folder(folder)
    return folder


def _can_write_in(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


@cache
def _log_other_folder(folder: Path) -> None:
    logger.info("The working folder cannot be written: the default of rejects_path is %s", folder)


def check_entities(config: Mapping[str, Any], entities: Collection[str]) -> None:
    """Check the settings that name entities.

    Raises:
        ConfigurationError: Some name an entity that cannot be imported; the message names all.
    """
    named = [
        *(
            (f"entity_map.{stream}", entity)
            for stream, entity in (config.get("entity_map") or {}).items()
        ),
        *(("match_keys", entity) for entity in config.get("match_keys") or {}),
        *(("field_mappings", entity) for entity in config.get("field_mappings") or {}),
        *(("custom_fields", entity) for entity in config.get("custom_fields") or {}),
    ]
    problems = [
        f"{setting} names {entity}{near_names(entity, entities)}"
        for setting, entity in named
        if entity not in entities
    ]
    if problems:
        raise ConfigurationError(
            f"No such entity can be imported: {'; '.join(problems)}. "
            f"Change it to one of {', '.join(sorted(entities))}."
        )


def warn_of_unused(config: Mapping[str, Any], entities: Mapping[str, str]) -> None:
    """Log the names in settings that had no effect on a run: they may be mistyped.

    Args:
        config: The settings.
        entities: Entity by stream of the run.
    """
    if not entities:
        return
    used = {
        "entity_map": set(entities),
        "activity_types": set(entities),
        "match_keys": set(entities.values()),
        "field_mappings": set(entities.values()),
        "custom_fields": set(entities.values()),
    }
    unused = {
        f"{setting}.{name}": near_names(name, names - set(config[setting]))
        for setting, names in used.items()
        for name in config.get(setting) or {}
        if name not in names
    }
    # A name that is near to none may be that of a stream that another run sends.
    for level, is_near in ((logging.WARNING, True), (logging.INFO, False)):
        if found := [name + near for name, near in unused.items() if bool(near) is is_near]:
            logger.log(
                level,
                "Settings about streams or entities that this run did not send: %s",
                ", ".join(found),
            )


def check_labels(config: Mapping[str, Any]) -> None:
    """Check that the names of fields in the settings can be names.

    No column is mapped to the text null, which Meltano stores for null. Over uapi, Demandbase would
    make a field with that name, and another one for a label with a space at its end.

    Raises:
        ConfigurationError: Some cannot; the message names the settings.
    """
    columns = [
        f"field_mappings.{entity}.{column}"
        for entity, names in (config.get("field_mappings") or {}).items()
        for column, name in names.items()
        if name is not None and name.strip().casefold() == "null"
    ]
    if columns:
        raise ConfigurationError(
            f"The setting {', '.join(columns)} is the text null, which is no field: write {NULL} "
            "to leave the column out."
        )
    entities = [
        f"custom_fields.{entity}"
        for entity, labels in (config.get("custom_fields") or {}).items()
        if any(not label or label != label.strip() for label in labels)
    ]
    if entities:
        raise ConfigurationError(
            f"The setting {', '.join(entities)} has a label that is empty, or begins or ends with "
            "a space: write it as Demandbase shows it."
        )


def check_abilities(config: Mapping[str, Any], capabilities: ImportCapabilities) -> None:
    """Check the settings against what the API supports.

    Raises:
        ConfigurationError: Some ask for what it does not support; the one message names all.
    """
    if problems := _problems(config, capabilities):
        raise ConfigurationError(
            f"With api: {api_config.chosen_api(config)} the settings ask for what the API does not "
            f"support: {'; '.join(problems)}. Correct them and run again."
        )


def _problems(config: Mapping[str, Any], capabilities: ImportCapabilities) -> list[str]:
    problems = []
    if config["operation"] not in {each.value for each in capabilities.operations}:
        known = " or ".join(sorted(each.value for each in capabilities.operations))
        problems.append(f"operation can only be {known}")
    if config.get("match_keys") and not capabilities.match_key:
        problems.append("match_keys must be left out, since rows are matched by fixed rules")
    if config.get("custom_fields") and capabilities.mappings:
        problems.append("custom_fields must be left out, since the API lists the tenant's fields")
    if config["list_action"] != ListAction.NOOP.value and not capabilities.list_actions:
        problems.append(f"list_action can only be {ListAction.NOOP.value}")
    if config["source"] != DEFAULT_SOURCE and not capabilities.sources:
        problems.append("source must be left out")
    types = config.get("activity_types") or {}
    if types and not capabilities.activity_types:
        problems.append("activity_types must be left out")
    entity_map = config.get("entity_map") or {}
    problems += [
        f"activity_types.{stream} names a stream that is not imported into {ACTIVITIES}"
        for stream in types
        if capabilities.activity_types and entity_map.get(stream, stream) != ACTIVITIES
    ]
    most = capabilities.max_file_bytes
    if most is not None and config["max_file_bytes"] > most:
        problems.append(f"max_file_bytes can be {most} at most")
    return problems


def warn_of_lost_rows(config: Mapping[str, Any]) -> None:
    """Warn if the only copy of rejected rows, past which the state moves, may not last."""
    if config["on_reject"] != OnReject.CONTINUE.value or state(config).is_shared:
        return
    folder = rejects_folder(config).resolve()
    if folder.is_relative_to(Path(tempfile.gettempdir()).resolve()):
        logger.warning(
            "With on_reject: continue the state moves past rejected rows, and the only copy of "
            "these is in %s, which is a temporary folder. Set rejects_path to a folder that is "
            "kept, or state_dir to a bucket.",
            folder,
        )


def log_limits(config: Mapping[str, Any], capabilities: ImportCapabilities) -> None:
    """Log what the API does not support, and what imports do to account lists."""
    if not capabilities.row_errors:
        logger.info("This API accepts imports as a whole; %s", OUTCOMES_UNKNOWN)
        limits = [
            name
            for name in ("max_rejected_rows", "max_rejected_percent")
            if config.get(name) is not None
        ]
        if config["on_reject"] == OnReject.CONTINUE.value or limits:
            logger.warning(
                "%s %s only to rows that this target rejects itself, because this API does not "
                "report which rows Demandbase rejects",
                " and ".join(["on_reject", *limits]),
                "apply" if limits else "applies",
            )
    if config["list_action"] != ListAction.NOOP.value:
        logger.warning(
            "list_action is %s: imports of accounts change their account lists",
            config["list_action"],
        )
