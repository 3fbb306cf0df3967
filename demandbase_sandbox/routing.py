"""How both APIs serve a call.

``CallMiddleware`` checks the token and the limits, records the call, and drops or stalls its
connection. ``SandboxRouter`` runs the operation with its faults and under the tenant's lock.
"""

from __future__ import annotations

import functools
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from copy import copy
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.connections import drip, drop, stall
from demandbase_sandbox.exceptions import ApiError
from demandbase_sandbox.faults import Effect, Fault, JobFaults, replace_members
from demandbase_sandbox.models import Body
from demandbase_sandbox.operations import CREATING, IMPORTING, find_operation
from demandbase_sandbox.recorder import RECORDED_HEADERS, RecordedRequest
from demandbase_sandbox.tenant.jobs import AnyJob, SimulatedJobs
from demandbase_sandbox.tenant.tenant import Tenant
from demandbase_sandbox.uapi.errors import coded_error

DOCUMENT_PATH = "/openapi.json"

Document = BaseModel | Sequence[BaseModel]


class Api(ABC):
    """What differs between the APIs."""

    name: ClassVar[str]
    title: ClassVar[str]
    operations: ClassVar[Mapping[str, tuple[str, str]]]
    open_paths: ClassVar[frozenset[str]] = frozenset({DOCUMENT_PATH})
    """Paths that need no token."""

    @abstractmethod
    def admission(self, call: Call) -> AbstractContextManager[None]:
        """Check the token and the limits. The context ends when the response begins.

        Raises:
            ApiError: The token is missing or invalid, or a limit is exceeded.
        """

    @abstractmethod
    def error_response(self, path: str, error: ApiError) -> Response:
        """Return the API's error document."""

    @abstractmethod
    def validation_error(self, path: str, problems: Sequence[Any]) -> ApiError:
        """Return the error of a request that does not match its operation's schema."""

    @abstractmethod
    def http_error(self, path: str, error: HTTPException) -> ApiError:
        """Return the error of a request that matches no operation, or holds no JSON."""

    def facts(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return values that faults can match, in addition to the request's own members."""
        return {}


class Call:
    """One request and what happens to it.

    Args:
        api: The API that it calls.
        scope: Its ASGI scope.
    """

    def __init__(self, api: Api, scope: Scope) -> None:
        self.api = api
        self.tenant: Tenant = scope["state"]["tenant"]
        self.request = Request(scope)
        self.path: str = scope["path"]
        self.operation = find_operation(api.operations, scope["method"], self.path)
        self.facts: dict[str, Any] = {}
        self.body: Any = None
        self.is_dropped = False
        self.is_forgotten = False
        self.stall: Fault | None = None
        self.drip: Fault | None = None
        self.foreign: JobFaults | None = None
        self.headers: Mapping[str, str] = {}

    def describe(self, values: Mapping[str, Any]) -> None:
        """Derive the facts for faults and the recorded body from an operation's arguments."""
        members: dict[str, Any] = {}
        for name, value in values.items():
            if isinstance(value, Body):
                self.body = value.members() or None
                members |= value.members()
            elif isinstance(value, UploadFile):
                self.body = value.filename
            elif isinstance(value, str | int | None):
                members[name] = value
        job_id = members.get("jobId", members.get("id"))
        if job_id is not None:
            job = self.tenant.find_job(str(job_id))
            members["job_id"] = str(job_id)
            members["entity_type"] = getattr(job, "entity_type", None)
            members["entityType"] = getattr(job, "published_type", None)
        self.facts = {**members, **self.api.facts(self.operation, members), "api": self.api.name}

    def faults(self, *effects: Effect) -> dict[Effect, Fault]:
        """Return the faults with these effects that apply to the call, and count the call."""
        return self.tenant.faults.hits(self.operation, self.facts, *effects)

    def fault(self, effect: Effect) -> Fault | None:
        """Return the fault with an effect that only some operations have."""
        return self.faults(effect).get(effect)

    def shifted(self, offset: int) -> int:
        """Return where the page starts that a call requests at an offset."""
        hits = self.faults(Effect.SHIFT_PAGE, Effect.SAME_PAGE)
        start = 0 if Effect.SAME_PAGE in hits else offset
        return max(0, start + (hits[Effect.SHIFT_PAGE].rows if Effect.SHIFT_PAGE in hits else 0))

    def visible(self, jobs: SimulatedJobs[AnyJob]) -> list[AnyJob]:
        """Return the jobs that a list shows, newest first."""
        hits = self.faults(Effect.LAG, Effect.OLDEST_FIRST)
        found = jobs.known()
        if Effect.LAG in hits:
            since = self.tenant.clock.now() - timedelta(seconds=hits[Effect.LAG].seconds)
            found = [job for job in found if job.created_at <= since]
        return found[::-1] if Effect.OLDEST_FIRST in hits else found

    def job_faults(self) -> JobFaults:
        """Return the faults of the job that the call creates."""
        return self.foreign or self.tenant.faults.job_faults(self.operation, self.facts)

    def set_headers(self, start: Message) -> None:
        """Set the time of the response, and the headers of a fault."""
        headers = MutableHeaders(scope=start)
        headers["Date"] = format_datetime(self.tenant.clock.now(), usegmt=True)
        for name, value in self.headers.items():
            del headers[name]
            if value:
                headers[name] = value

    def record(self, status: int) -> None:
        """Record the call. Successful calls of no operation, such as admin calls, are left out."""
        if self.is_forgotten or not (self.operation or status >= 400):  # noqa: PLR2004 - errors
            return
        headers = self.request.headers
        self.tenant.recorder.add(
            RecordedRequest(
                operation=self.operation,
                method=self.request.method,
                path=self.path,
                status=0 if self.is_dropped else status,
                authorized="Authorization" in headers,
                query=dict(self.request.query_params),
                headers={name: headers[name] for name in RECORDED_HEADERS if name in headers},
                body=self.body,
                api=self.api.name,
            )
        )


async def _current_call(request: Request) -> Call:
    call: Call = request.state.call
    return call


CurrentCall = Annotated[Call, Depends(_current_call)]
"""The ``call`` parameter of an operation."""


def create_app(api: Api, routers: Sequence[APIRouter], **options: Any) -> FastAPI:  # noqa: ANN401
    """Return the ASGI application of an API.

    It serves the tenant in ``scope["state"]``: building an application is slow, so all
    sandboxes of a process share it.
    """
    app = FastAPI(
        title=api.title,
        openapi_url=DOCUMENT_PATH,
        docs_url=None,
        redoc_url=None,
        **options,
    )

    @app.exception_handler(RequestValidationError)
    async def handle_validation_error(request: Request, error: RequestValidationError) -> Response:
        path = request.url.path
        return api.error_response(path, api.validation_error(path, error.errors()))

    @app.exception_handler(HTTPException)
    async def handle_http_error(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        return api.error_response(path, api.http_error(path, error))

    @app.exception_handler(ApiError)
    async def handle_api_error(request: Request, error: ApiError) -> Response:
        return api.error_response(request.url.path, error)

    app.add_middleware(CallMiddleware, api=api)
    for router in routers:
        app.include_router(router)
    return app


class CallMiddleware:
    """ASGI middleware that checks and records calls, and drops or stalls their connections."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        call = scope["state"]["call"] = Call(self._api, scope)
        with ExitStack() as admission:

            async def send_recorded(message: Message) -> None:
                if message["type"] == "http.response.start":
                    admission.close()
                    call.record(message["status"])
                    call.set_headers(message)
                if call.is_dropped:
                    await drop(scope, receive)
                elif call.stall is not None and message["type"] == "http.response.body":
                    await stall(message, scope, receive, send, call.stall)
                elif call.drip is not None and message["type"] == "http.response.body":
                    await drip(message, receive, send, call.drip)
                else:
                    await send(message)

            try:
                admission.enter_context(self._api.admission(call))
            except ApiError as error:
                response = self._api.error_response(call.path, error)
                await response(scope, receive, send_recorded)
            else:
                await self._app(scope, receive, send_recorded)


class SandboxRouter(APIRouter):
    """Routes whose operations run with faults and under the tenant's lock.

    An operation has a parameter ``call: CurrentCall``. It returns a model or a response, or
    raises ``ApiError``.
    """

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401
        """Add a route."""
        status = options.get("status_code") or 200

        @functools.wraps(endpoint)
        def operation(call: Call, **values: Any) -> Response:  # noqa: ANN401
            call.describe(values)
            if call.operation in CREATING:

                def create(faults: JobFaults) -> object:
                    other = copy(call)
                    other.foreign = faults
                    return endpoint(call=other, **values)

                call.tenant.create_again[_kind(call)] = create
            return _run(call, functools.partial(endpoint, call=call, **values), status)

        # FastAPI would otherwise resolve the names in the annotations in this module.
        operation.__signature__ = inspect.signature(endpoint, eval_str=True)  # type: ignore[attr-defined]
        super().add_api_route(path, operation, **options)


# Effects of the response; those of files and jobs are applied where these are made.
_EFFECTS = (
    Effect.STATUS, Effect.STATUS_AFTER, Effect.DROP_BEFORE, Effect.DROP_AFTER, Effect.DELAY,
    Effect.STALL, Effect.FOREIGN_JOB, Effect.DRIP, Effect.HEADERS, Effect.LOCAL_TIMES,
    Effect.ALTER, Effect.SHIFT, Effect.INVALID_JSON,
)  # fmt: skip


def _run(call: Call, work: Callable[[], Document | Response], status: int) -> Response:
    """Run an operation under the lock and return its response, changed by the call's faults."""
    hits = call.faults(*_EFFECTS)
    if Effect.FOREIGN_JOB in hits and _kind(call) in call.tenant.create_again:
        with call.tenant.store.lock, suppress(ApiError):
            create = call.tenant.create_again[_kind(call)]
            create(JobFaults.of_foreign_job(hits[Effect.FOREIGN_JOB]))
    if Effect.DELAY in hits and not call.tenant.delay(hits[Effect.DELAY].seconds):
        # The tenant was reset meanwhile, so the call belongs to no tenant.
        call.is_forgotten = call.is_dropped = True
        return Response()
    if Effect.DROP_BEFORE in hits:
        call.is_dropped = True
        return Response()
    call.is_dropped = Effect.DROP_AFTER in hits
    call.stall, call.drip = hits.get(Effect.STALL), hits.get(Effect.DRIP)
    if Effect.HEADERS in hits:
        call.headers = hits[Effect.HEADERS].headers
    if Effect.STATUS in hits:
        return _status_response(hits[Effect.STATUS])
    with call.tenant.store.lock:
        call.tenant.advance_jobs()
        result = work()
        if Effect.STATUS_AFTER in hits:
            return _status_response(hits[Effect.STATUS_AFTER])
        if isinstance(result, Response):
            return result
        content = _json(result)
        _alter_jobs(call.tenant, content)
    return _document(content, status, hits)


def _alter_jobs(tenant: Tenant, content: dict[str, Any] | list[Any]) -> None:
    for document in [content, *_listed(content)]:
        # The name of the id differs between the APIs.
        if isinstance(document, dict) and (job_id := document.get("jobId", document.get("id"))):
            job = tenant.find_job(str(job_id))
            if job is not None:
                job.alter(document, tenant.clock.now())


def _kind(call: Call) -> tuple[str, bool]:
    """Return the kind of job that a call is about."""
    return call.api.name, call.operation in IMPORTING


def _status_response(fault: Fault) -> Response:
    if fault.code:
        raise coded_error(fault.code)
    kind = "application/json" if fault.body.startswith("{") else "text/plain"
    return Response(fault.body, fault.status, dict(fault.headers), media_type=kind)


def _document(
    content: dict[str, Any] | list[Any], status: int, hits: Mapping[Effect, Fault]
) -> Response:
    if Effect.SHIFT in hits:
        _shift(content, hits[Effect.SHIFT].members)
    if Effect.ALTER in hits:
        _alter(content, hits[Effect.ALTER])
    if Effect.LOCAL_TIMES in hits:
        content = _local_times(content, timedelta(seconds=hits[Effect.LOCAL_TIMES].seconds))
    response = JSONResponse(content, status)
    if Effect.INVALID_JSON in hits:
        half = bytes(response.body)[: len(response.body) // 2]
        return Response(half, status, media_type="application/json")
    return response


def _json(result: Document) -> dict[str, Any] | list[Any]:
    # An optional member without a value is left out; a required one is null.
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return [_json(item) for item in result]


def _shift(result: dict[str, Any] | list[Any], members: Mapping[str, Any]) -> None:
    for holder in [result, *_listed(result)]:
        if not isinstance(holder, dict):
            continue
        for name, by in members.items():
            if name in holder:
                holder[name] += by


def _alter(result: dict[str, Any] | list[Any], fault: Fault) -> None:
    items = fault.items
    for holder in [result] if items is None else _listed(result):
        if isinstance(holder, dict) and (items or {}).items() <= holder.items():
            replace_members(holder, fault.members, fault.nulls)


def _listed(result: dict[str, Any] | list[Any]) -> list[Any]:
    lists = [result] if isinstance(result, list) else [*result.values()]
    return [item for value in lists if isinstance(value, list) for item in value]


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _local_times(value: Any, ahead: timedelta) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case dict():
            return {name: _local_times(member, ahead) for name, member in value.items()}
        case list():
            return [_local_times(item, ahead) for item in value]
        case str() if _TIME.fullmatch(value):
            return rfc3339(datetime.fromisoformat(value) + ahead).removesuffix("Z")
        case _:
            return value
