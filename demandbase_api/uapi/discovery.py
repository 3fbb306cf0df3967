"""Asks which fields each entity has, seldom enough for the day's calls."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import (
    ApiOperation,
    ConfigurationError,
    PermissionDeniedError,
    QuotaExceededError,
)
from demandbase_api.files import write_atomically
from demandbase_api.http.json_reader import Reader
from demandbase_api.models import Entity, EntityField, ParentIds
from demandbase_api.uapi import schemas
from demandbase_api.uapi.entities import BY_NAME, ENTITIES, MAX_IDS, is_own

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demandbase_api.clock import Clock
    from demandbase_api.http.client import HttpClient
    from demandbase_api.ports import DiscoveryScope
    from demandbase_api.uapi.call_budget import CallBudget
    from demandbase_api.uapi.entities import UapiEntity


logger = logging.getLogger(__name__)

_CODE = re.compile(r"code [0-9]{3}-[0-9]{3}")

FIELDS = "/data/export/v1/fields"

_ACCOUNT_IDS = ParentIds("accounts", "{Account}.id", MAX_IDS, "Account ID")

_DATE_TYPES = frozenset({"date", "datetime", "timestamp"})

# What scopes activities is published, its name is not: the likeliest first.
_DATE_FIELDS = ("date", "activitydate", "activityat", "activitytime", "timestamp", "occurredat")


class FieldDiscovery:
    """Knows the fields of all entities.

    Args:
        http: Where to ask.
        cache: What was answered before.
        budget: Counts the day's calls.
    """

    def __init__(self, http: HttpClient, cache: FieldCache, budget: CallBudget) -> None:
        self._http = http
        self._cache = cache
        self._budget = budget

    def entities(self, scope: DiscoveryScope) -> tuple[Entity, ...]:
        """Return the entities that the tenant may have.

        Raises:
            PermissionDeniedError: There is none, or one that was asked for is not among them.
            ConfigurationError: One that was asked for needs a report type, or another one is
                given what it does not take.
            CallBudgetError: The day's calls are not enough; none was made.
            ApiError: A call failed.
        """
        _check_report_types(scope)
        chosen = [entity for entity in ENTITIES if _is_chosen(entity, scope)]
        answers = self._answers([entity for entity in chosen if entity.type], scope)
        refused = {
            name: answer.refusal for name, answer in answers.items() if answer.refusal is not None
        }
        _tell_refused(refused, scope, has_any=len(refused) < len(answers))
        return tuple(
            _entity(entity, _fields(entity, scope, answers))
            for entity in chosen
            if entity.name not in refused
        )

    def forget(self, entity: UapiEntity, report_type: str | None) -> None:
        """Ask for an entity's fields anew next time."""
        self._cache.drop(_key(entity, report_type))

    def _answers(
        self, entities: Sequence[UapiEntity], scope: DiscoveryScope
    ) -> dict[str, CachedFields]:
        """Return what is known of each entity by its name, and ask for what is not."""
        keys = {entity.name: _key_in(entity, scope) for entity in entities}
        answers = {name: self._cache.find(key) for name, key in keys.items()}
        granted = {
            name: answer if answer is not None and answer.refusal is None else None
            for name, answer in answers.items()
        }
        if scope.entities is not None or not any(granted.values()):
            answers = granted  # what would end the run may have been allowed since
        unknown = [entity for entity in entities if answers[entity.name] is None]
        old = {each.name: self._cache.find(keys[each.name], any_age=True) for each in unknown}
        self._budget.require(ApiOperation.LIST_FIELDS, list(old.values()).count(None))
        # Of the day's last calls, those come first that nothing can stand in for.
        for entity in sorted(unknown, key=lambda each: old[each.name] is not None):
            report_type = scope.report_types.get(entity.name)
            answers[entity.name] = self._asked(entity, report_type, old[entity.name])
        return {name: answer for name, answer in answers.items() if answer is not None}

    def _asked(
        self, entity: UapiEntity, report_type: str | None, old: CachedFields | None
    ) -> CachedFields:
        key = _key(entity, report_type)
        try:
            return self._cache.keep(key, self._ask(entity, report_type))
        except PermissionDeniedError as error:
            return self._cache.keep(key, (), str(error))
        except QuotaExceededError as error:
            if old is None:
                raise
            logger.warning("%s Those of %s are taken instead.", error, old.at)
            return old

    def _ask(self, entity: UapiEntity, report_type: str | None) -> list[dict[str, str]]:
        operation = ApiOperation.LIST_FIELDS
        params = {"entityType": entity.type}
        if report_type is not None:
            params["adReportType"] = report_type
        answer = self._http.read_list(operation, FIELDS, params)
        return [schemas.described_field(Reader(operation, item)) for item in answer]


def _check_report_types(scope: DiscoveryScope) -> None:
    reports = [entity.name for entity in ENTITIES if entity.is_report]
    for name in scope.report_types:
        if name in BY_NAME and name not in reports:
            raise ConfigurationError(
                f"The setting stream_options.{name}.ad_report_type is for "
                f"{' and '.join(reports)} only: take it away."
            )


def _is_chosen(entity: UapiEntity, scope: DiscoveryScope) -> bool:
    is_named = scope.entities is not None and entity.name in scope.entities
    if scope.entities is not None and not is_named:
        return False
    if entity.is_report and entity.name not in scope.report_types:
        _tell_missing_report(entity, is_named=is_named)
        return False
    return True


def _fields(
    entity: UapiEntity, scope: DiscoveryScope, answers: Mapping[str, CachedFields]
) -> tuple[EntityField, ...]:
    if entity.type:
        return schemas.fields(answers[entity.name].fields, entity.type)
    columns = scope.columns.get(entity.name, entity.columns)
    return tuple(EntityField(name, "string") for name in columns)


def _entity(entity: UapiEntity, fields: tuple[EntityField, ...]) -> Entity:
    names = {field.name for field in fields}
    key = ("id",) if entity.key is None and "id" in names else entity.key
    return Entity(
        name=entity.name,
        description=entity.description,
        fields=fields,
        max_days=entity.max_days,
        date_field=None if entity.max_days is None else _date_field(fields, entity.type),
        parent_ids=_ACCOUNT_IDS if entity.by_account else None,
        key=key if key is None or names.issuperset(key) else None,
        takes_account_lists=entity.takes_account_lists,
        is_list=not entity.type,
    )


def _date_field(fields: Sequence[EntityField], entity_type: str) -> str | None:
    """Return the field that from and to go by, by its name; the only date that there is, too."""
    dates = {
        field.name.replace("_", "").lower(): field.name
        for field in fields
        if field.type.lower() in _DATE_TYPES and is_own(field.job_name, entity_type)
    }
    likely = [dates[name] for name in _DATE_FIELDS if name in dates]
    if likely:
        return likely[0]
    return next(iter(dates.values())) if len(dates) == 1 else None


def _key_in(entity: UapiEntity, scope: DiscoveryScope) -> str:
    return _key(entity, scope.report_types.get(entity.name))


def _key(entity: UapiEntity, report_type: str | None) -> str:
    return entity.type if report_type is None else f"{entity.type} {report_type}"


def _tell_missing_report(entity: UapiEntity, *, is_named: bool) -> None:
    what = f"set stream_options.{entity.name}.ad_report_type to the report that is wanted"
    if is_named:
        raise ConfigurationError(
            f"The fields of {entity.name} depend on the kind of report: {what}."
        )
    logger.info("Stream %s is left out: to have it, %s", entity.name, what)


def _tell_refused(refused: Mapping[str, str], scope: DiscoveryScope, *, has_any: bool) -> None:
    if not refused:
        return
    # One reason may have come several times, each with words and a diagnostic code of its own.
    reasons = " ".join({_code_in(text): text for text in refused.values()}.values())
    if scope.entities is not None or not has_any:
        raise PermissionDeniedError(
            ApiOperation.LIST_FIELDS,
            f"let nothing be known of {', '.join(refused)}",
            advice=reasons,
        )
    logger.warning(
        "This tenant may not export %s, which are left out (they are asked for again once "
        "discovery_cache_hours are over, or at once with discovery_cache_hours: 0): %s",
        ", ".join(refused),
        reasons,
    )


def _code_in(text: str) -> str:
    found = _CODE.search(text)
    return text if found is None else found[0]


_FORM = 1


@dataclass(frozen=True, slots=True)
class CachedFields:
    """What was answered.

    Args:
        at: When.
        fields: The fields' members, as the API gave them.
        refusal: Why there are none: the tenant may not have this entity.
    """

    at: datetime
    fields: tuple[Mapping[str, str], ...] = ()
    refusal: str | None = None


class FieldCache:
    """The answers of one tenant.

    A file that cannot be read or written costs calls and nothing else.

    Args:
        path: The file.
        hours: How long an answer is good for.
        clock: Time.
    """

    def __init__(self, path: Path, hours: float, clock: Clock) -> None:
        self._path = path
        self._age = timedelta(hours=hours)
        self._clock = clock
        self._is_told = False

    def find(self, key: str, *, any_age: bool = False) -> CachedFields | None:
        """Return an answer that is not too old, or of any age."""
        found = self._read().get(key)
        if found is None:
            return None
        is_fresh = timedelta() <= self._clock.utc() - found.at < self._age
        return found if is_fresh or any_age else None

    def keep(
        self, key: str, fields: Sequence[Mapping[str, str]], refusal: str | None = None
    ) -> CachedFields:
        """Keep an answer and return it."""
        answer = CachedFields(self._clock.utc(), tuple(fields), refusal)
        self._write({**self._read(), key: answer})
        return answer

    def drop(self, key: str) -> None:
        """Forget an answer: it has proved wrong."""
        self._write({name: answer for name, answer in self._read().items() if name != key})

    def _read(self) -> dict[str, CachedFields]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["form"] != _FORM:
                return {}
            return {key: _answer(answer) for key, answer in found["answers"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}

    def _write(self, answers: Mapping[str, CachedFields]) -> None:
        form = {
            key: {
                "at": answer.at.isoformat(),
                "fields": list(answer.fields),
                "refusal": answer.refusal,
            }
            for key, answer in answers.items()
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps({"form": _FORM, "answers": form}))
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                logger.warning(
                    "What was discovered cannot be kept in spool_dir: %s",
                    error.strerror or "it failed",
                )


def _answer(found: Mapping[str, Any]) -> CachedFields:
    """Return an answer as it was kept.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: It is none.
    """
    at = datetime.fromisoformat(found["at"])
    fields = tuple({**field, "name": field["name"]} for field in found["fields"])
    refusal = found["refusal"]
    texts = [text for field in fields for text in field.values()]
    if at.tzinfo is None or not all(isinstance(text, str) for text in [*texts, refusal or ""]):
        raise TypeError
    return CachedFields(at, fields, refusal)
