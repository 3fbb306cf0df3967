"""Discovery of the entities and their fields, cached because the daily calls are few."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from demandbase_api.errors import (
    ApiOperation,
    CallBudgetError,
    ConfigurationError,
    DemandbaseError,
    PermissionDeniedError,
    QuotaExceededError,
    StateError,
)
from demandbase_api.http.json_reader import read
from demandbase_api.models import Entity, EntityField, ParentIds
from demandbase_api.ports import raise_error
from demandbase_api.uapi import schemas
from demandbase_api.uapi.call_budget import CALLS_A_DAY
from demandbase_api.uapi.entities import BY_NAME, ENTITIES, MAX_IDS, is_own
from demandbase_api.uapi.schemas import Field
from demandbase_api.words import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from demandbase_api.clock import Clock
    from demandbase_api.http.client import HttpClient
    from demandbase_api.ports import DiscoveryScope, OnEntityError
    from demandbase_api.state.ports import StateStore
    from demandbase_api.uapi.call_budget import CallBudget
    from demandbase_api.uapi.entities import UapiEntity

logger = logging.getLogger(__name__)

FIELDS = "/data/export/v1/fields"

_ACCOUNT_IDS = ParentIds("accounts", "{Account}.id", MAX_IDS, "Account ID")
_CLAIM = timedelta(minutes=2)
"""Time after which a run that has claimed a request may be taken for dead."""
_CLAIM_PAUSE = 1.0
"""Seconds between two tries to claim a request."""
_FRESH = timedelta(minutes=1)
_CODE = re.compile(r"code [0-9]{3}-[0-9]{3}")
_DATE_TYPES = frozenset({"date", "datetime", "timestamp"})
# It is published that a date scopes activities, but not the name of its field: likeliest first.
_DATE_FIELDS = ("date", "activitydate", "activityat", "activitytime", "timestamp", "occurredat")


class FieldDiscovery:
    """Discovers the entities and their fields.

    Args:
        http: Client of the API.
        cache: Results of earlier requests.
        budget: The calls that are left today.
    """

    def __init__(self, http: HttpClient, cache: FieldCache, budget: CallBudget) -> None:
        self._http = http
        self._cache = cache
        self._budget = budget

    def entities(
        self, scope: DiscoveryScope, on_error: OnEntityError = raise_error
    ) -> tuple[Entity, ...]:
        """Return the entities that the tenant may export.

        Args:
            scope: The part of the tenant to discover.
            on_error: Called with each entity that the scope names and the tenant may not export,
                that lacks its report type, or whose fields cannot be read.

        Raises:
            ConfigurationError: An entity has a report type and does not accept it.
            CallBudgetError: Too few calls are left; none was made.
            ApiError: A call failed, and so would all others.
        """
        _check_report_types(scope)
        entities = [entity for entity in ENTITIES if _is_in_scope(entity, scope, on_error)]
        known = {each.name: fields for each in entities if (fields := _known(each, scope))}
        listed = [entity for entity in entities if entity.type and entity.name not in known]
        results = self._results(listed, scope, on_error)
        denied = {name: result for name, result in results.items() if result.denial is not None}
        if denied and (scope.entities is not None or len(denied) == len(results)):
            self._report_denied(denied, on_error)
        elif denied:
            logger.warning(
                "This tenant may not export %s, which are left out (they are requested again after "
                "discovery_cache_hours, or in the next run with discovery_cache_hours: 0): %s",
                ", ".join(denied),
                _reasons(denied),
            )
        return tuple(
            _entity(entity, known.get(entity.name) or _fields(entity, scope, results))
            for entity in entities
            if entity.name not in denied
            and (entity.name in results or entity.name in known or not entity.type)
        )

    def own_fields(self, name: str) -> tuple[EntityField, ...]:
        """Return an entity's own fields, for a comparison that a run can do without.

        A denial in the cache is not requested again, and half of the day's calls are left to
        discovery.

        Raises:
            PermissionDeniedError: The tenant may not export the entity.
            CallBudgetError: Too few calls are left; none was made.
            ApiError: The call failed.
        """
        entity = BY_NAME[name]
        key = _key(entity, None)
        found = self._cache.find(key)
        if found is None:
            left = self._budget.left(ApiOperation.LIST_FIELDS)
            if left <= CALLS_A_DAY[ApiOperation.LIST_FIELDS] // 2:
                problem = f"has {left} calls left today, which are kept for discovery,"
                raise CallBudgetError(ApiOperation.LIST_FIELDS, problem)
            found = self._request(entity, None, self._cache.find(key, any_age=True))
        if found.denial is not None:
            raise PermissionDeniedError(
                ApiOperation.LIST_FIELDS,
                f"does not permit the export of {name}",
                advice=found.denial,
            )
        fields = schemas.fields(found.fields, entity.type)
        return tuple(field for field in fields if is_own(field.job_name, entity.type))

    def doubt(self, entity: UapiEntity, report_type: str | None) -> None:
        """Have the fields of an entity requested again: Demandbase has rejected what they say."""
        self._cache.doubt(_key(entity, report_type))

    def _results(
        self, entities: Sequence[UapiEntity], scope: DiscoveryScope, on_error: OnEntityError
    ) -> dict[str, CachedFields]:
        """Return the fields of each entity by its name, from the cache if possible."""
        keys = {entity.name: _key(entity, scope.report_type(entity.name)) for entity in entities}
        results = {name: self._cache.find(key) for name, key in keys.items()}
        if scope.entities is not None or all(it is None or it.denial for it in results.values()):
            # A denial that would end the run is requested again: it may have been lifted.
            for name, result in results.items():
                if result is not None and result.denial and self._cache.may_repeat(result):
                    results[name] = None
        missing = [entity for entity in entities if results[entity.name] is None]
        earlier = {each.name: self._cache.find(keys[each.name], any_age=True) for each in missing}
        self._budget.require(ApiOperation.LIST_FIELDS, list(earlier.values()).count(None))
        # Entities without an earlier result come first: nothing can replace theirs.
        for entity in sorted(missing, key=lambda each: earlier[each.name] is not None):
            report_type = scope.report_type(entity.name)
            try:
                results[entity.name] = self._request(entity, report_type, earlier[entity.name])
            except DemandbaseError as error:
                if error.ends_run:
                    raise
                on_error(entity.name, error)
        return {name: result for name, result in results.items() if result is not None}

    def _request(
        self, entity: UapiEntity, report_type: str | None, earlier: CachedFields | None
    ) -> CachedFields:
        key = _key(entity, report_type)
        self._cache.claim(key)
        try:
            found = self._cache.find(key)
            if found is not None and found != earlier:
                return found  # of another run
            return self._cache.add(key, self._list_fields(entity, report_type))
        except PermissionDeniedError as error:
            return self._cache.add(key, (), str(error))
        except QuotaExceededError as error:
            if earlier is None:
                raise
            logger.warning("%s The fields of %s are used instead.", error, earlier.at)
            return earlier
        finally:
            self._cache.release(key)

    def _report_denied(self, denied: Mapping[str, CachedFields], on_error: OnEntityError) -> None:
        """Report entities that the run needs and the tenant may not export."""
        advice = _reasons(denied)
        asked_at = min(result.at for result in denied.values())
        if not all(self._cache.is_fresh(result) for result in denied.values()):
            advice += (
                f" Demandbase said so at {asked_at:%H:%M} UTC, and is asked at most twice a day: "
                "to ask again, set discovery_cache_hours: 0 for a run."
            )
        problem = f"does not permit the export of {', '.join(denied)}"
        error = PermissionDeniedError(ApiOperation.LIST_FIELDS, problem, advice=advice)
        for name in denied:
            on_error(name, error)

    def _list_fields(self, entity: UapiEntity, report_type: str | None) -> list[Field]:
        operation = ApiOperation.LIST_FIELDS
        params = {"entityType": entity.type}
        if report_type is not None:
            params["adReportType"] = report_type
        response = self._http.read_list(operation, FIELDS, params)
        return [read(operation, item, Field) for item in response]


def _check_report_types(scope: DiscoveryScope) -> None:
    reports = [entity.name for entity in ENTITIES if entity.is_report]
    for name in scope.report_types:
        if name in BY_NAME and name not in reports:
            raise ConfigurationError(
                f"The setting stream_options.{name}.ad_report_type is for "
                f"{' and '.join(reports)} only: remove it."
            )


def _is_in_scope(entity: UapiEntity, scope: DiscoveryScope, on_error: OnEntityError) -> bool:
    is_named = scope.entities is not None and entity.name in scope.entities
    if scope.entities is not None and not is_named:
        return False
    if entity.is_report and scope.report_type(entity.name) is None:
        if is_named:
            problem = (
                f"The fields of {entity.name} depend on the type of report: set "
                f"stream_options.{entity.name}.ad_report_type to the report to export."
            )
            on_error(entity.name, ConfigurationError(problem))
        return False
    return True


def _reasons(denied: Mapping[str, CachedFields]) -> str:
    """Return why entities may not be exported. Those with the same error code share a message."""
    texts = [str(result.denial) for result in denied.values()]
    return " ".join({_code_in(text): text for text in texts}.values())


def _code_in(text: str) -> str:
    found = _CODE.search(text)
    return text if found is None else found[0]


def _known(entity: UapiEntity, scope: DiscoveryScope) -> tuple[EntityField, ...]:
    """Return the fields that need not be listed; none if they lack the date of the jobs."""
    fields = scope.known.get(entity.name, ())
    needs_date = entity.max_days is not None and _date_field(fields, entity.type) is None
    return () if needs_date or not entity.type else fields


def _fields(
    entity: UapiEntity, scope: DiscoveryScope, results: Mapping[str, CachedFields]
) -> tuple[EntityField, ...]:
    if entity.type:
        return schemas.fields(results[entity.name].fields, entity.type)
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
    """Return the field that dates of a job apply to: the likeliest by name, or the only date."""
    dates = {
        field.name.replace("_", "").lower(): field.name
        for field in fields
        if field.type.lower() in _DATE_TYPES and is_own(field.job_name, entity_type)
    }
    likely = [dates[name] for name in _DATE_FIELDS if name in dates]
    if likely:
        return likely[0]
    return next(iter(dates.values())) if len(dates) == 1 else None


def _key(entity: UapiEntity, report_type: str | None) -> str:
    return entity.type if report_type is None else f"{entity.type} {report_type}"


class CachedFields(msgspec.Struct, frozen=True):
    """The result of a request for an entity's fields.

    Args:
        at: Time of the request.
        fields: The fields.
        denial: Message of the error, if the tenant may not export the entity.
        is_doubtful: Whether Demandbase has rejected what it says.
        is_repeated: Whether another request had been made on the same day.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    fields: tuple[Field, ...] = ()
    denial: str | None = msgspec.field(name="refusal", default=None)
    is_doubtful: bool = False
    is_repeated: bool = False


class _CacheFile(msgspec.Struct):
    form: Literal[1]
    results: dict[str, CachedFields] = msgspec.field(name="answers")
    claims: dict[str, Annotated[datetime, msgspec.Meta(tz=True)]] = msgspec.field(
        default_factory=dict
    )
    """Since when a run is requesting an entity's fields."""


class FieldCache:
    """The fields of one tenant's entities, in an object that its runs share.

    Of several runs that need the fields of an entity, one requests them, and the others wait for
    its result. An object that cannot be read or written only costs further calls.

    Args:
        store: Keeps the object.
        name: Its name.
        hours: How long a result is valid.
        clock: Time.
    """

    def __init__(self, store: StateStore, name: str, hours: float, clock: Clock) -> None:
        self._store = store
        self._name = name
        self._lifetime = timedelta(hours=hours)
        self._clock = clock
        self._has_warned = False

    def find(self, key: str, *, any_age: bool = False) -> CachedFields | None:
        """Return a result that is still valid, or one of any age."""
        found = self._read().results.get(key)
        if found is None or any_age:
            return found
        is_valid = self._is_recent(found.at, self._lifetime)
        return found if is_valid and not (found.is_doubtful and self.may_repeat(found)) else None

    def may_repeat(self, result: CachedFields) -> bool:
        """Return whether a result that may be wrong is requested again: once a day."""
        return not result.is_repeated or result.at.date() != self._clock.utc().date()

    def claim(self, key: str) -> None:
        """Claim a request; wait while another run has claimed it."""
        has_logged = False
        while not self._claim(key):
            if not has_logged:
                # A command shows warnings alone, and would seem to hang.
                logger.warning(
                    "Waiting for another run, which requests the fields of %s: if it was killed, "
                    "for up to %s",
                    key,
                    duration(_CLAIM.total_seconds()),
                )
                has_logged = True
            self._clock.sleep(_CLAIM_PAUSE)

    def release(self, key: str) -> None:
        """End the claim to a request, unless a result has ended it."""
        if key in self._read().claims:
            self._update(lambda file: file.claims.pop(key, None))

    def add(self, key: str, fields: Sequence[Field], denial: str | None = None) -> CachedFields:
        """Add or replace a result, which ends the claim to it; return it."""
        now = self._clock.utc()
        earlier = self._read().results.get(key)
        is_repeated = earlier is not None and earlier.at.date() == now.date()
        result = CachedFields(now, tuple(fields), denial, is_repeated=is_repeated)

        def add(file: _CacheFile) -> None:
            file.results[key] = result
            file.claims.pop(key, None)

        self._update(add)
        return result

    def doubt(self, key: str) -> None:
        """Record that a result has proved wrong."""
        found = self.find(key, any_age=True)
        if found is not None:
            wrong = msgspec.structs.replace(found, is_doubtful=True)
            self._update(lambda file: file.results.update({key: wrong}))

    def is_fresh(self, result: CachedFields) -> bool:
        """Return whether a result is of this run, or of one a moment ago."""
        return self._is_recent(result.at, _FRESH)

    def _claim(self, key: str) -> bool:
        """Claim a request, unless another run has claimed it and may still be sending it."""
        is_claimed = True

        def claim(file: _CacheFile) -> None:
            nonlocal is_claimed
            since = file.claims.get(key)
            is_claimed = since is None or not self._is_recent(since, _CLAIM)
            if is_claimed:
                file.claims[key] = self._clock.utc()

        self._update(claim)
        return is_claimed

    def _is_recent(self, at: datetime, limit: timedelta) -> bool:
        return timedelta() <= self._clock.utc() - at < limit

    def _read(self) -> _CacheFile:
        with suppress(StateError):
            return _decode(self._store.get(self._name))
        return _CacheFile(1, {})

    def _update(self, change: Callable[[_CacheFile], object]) -> None:
        def changed(content: bytes | None) -> bytes:
            file = _decode(content)
            change(file)
            return msgspec.json.encode(file)

        try:
            self._store.update(self._name, changed)
        except StateError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning("Cannot write the discovered fields to state_dir: %s", error.reason)


def _decode(content: bytes | None) -> _CacheFile:
    try:
        return msgspec.json.decode(content or b"", type=_CacheFile)
    except (ValueError, RecursionError):
        return _CacheFile(1, {})  # there is none, or it is damaged
