"""OpenAPI documents that Demandbase publishes, and how an exchange differs from them.

Objects whose members a document lists may have no others, and a query no other parameters, although
OpenAPI permits both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.paths.finders import APICallPathFinder
from werkzeug.datastructures import Headers, ImmutableMultiDict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from jsonschema_path import SchemaPath

HOSTS = {"v1": "https://api.demandbase.com", "uapi": "https://uapi.demandbase.com"}
"""The published host of each API. Documents of the same host describe parts of one API."""

MISPRINTS = {"https://uapi.demandbase.demandbase.com": HOSTS["uapi"]}
"""Hosts that documents name by mistake: the first does not exist."""

_METHODS = ("get", "put", "post", "delete", "patch")
_SUFFIXES = {".json", ".yml", ".yaml"}
_LONG = 160


@dataclass(frozen=True)
class Exchange:
    """A request and its response, as they were on the wire.

    Args:
        api: ``v1`` or ``uapi``.
        run: What sent the request, for the report.
        target: Path and query.
        own: Whether the pair sent the request; if not, only the response is checked.
    """

    api: str
    run: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    response_headers: Mapping[str, str]
    response_body: bytes
    own: bool = True

    @property
    def path(self) -> str:
        """Path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """Parameters of the query."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


@dataclass(frozen=True, order=True)
class Difference:
    """A difference between an exchange and the documents.

    Args:
        api: The API.
        operation: Method and path as published; the path of the request if it is not published.
        part: ``request``, or ``response`` with its status.
        problem: What differs, without values.
    """

    api: str
    operation: str
    part: str
    problem: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.api}: {self.operation}: {self.part}: {self.problem}"


class _Request:
    """An exchange's request as openapi-core reads it."""

    def __init__(self, exchange: Exchange) -> None:
        self.host_url = HOSTS[exchange.api]
        self.path = exchange.path
        self.method = exchange.method.lower()
        self.body = exchange.body
        self.content_type = _content_type(exchange.headers)
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(exchange.query),
            header=Headers([*exchange.headers.items()]),
            cookie=ImmutableMultiDict(),
            path={},
        )


class _Response:
    """An exchange's response as openapi-core reads it."""

    def __init__(self, exchange: Exchange) -> None:
        self.status_code = exchange.status
        self.content_type = _content_type(exchange.response_headers)
        self.headers = Headers([*exchange.response_headers.items()])
        self.data = exchange.response_body


def _content_type(headers: Mapping[str, str]) -> str:
    found = {name.lower(): value for name, value in headers.items()}
    return found.get("content-type", "")


@dataclass(frozen=True)
class ApiDocument:
    """An OpenAPI document.

    Args:
        name: Name of its file.
        content: The document.
    """

    name: str
    content: dict[str, Any]

    @cached_property
    def openapi(self) -> OpenAPI:
        """The document for openapi-core. Unknown members are errors where others are listed."""
        content = _with_explicit_rules(json.loads(json.dumps(self.content)))
        for holder in _servers_of(content):
            for server in holder:
                for wrong, right in MISPRINTS.items():
                    server["url"] = server["url"].replace(wrong, right)
        return OpenAPI.from_dict(
            content, config=Config(additional_properties_default_policy="forbid")
        )

    @property
    def api(self) -> str:
        """The API that it describes a part of.

        Raises:
            ValueError: Its servers are others.
        """
        url = self._url
        found = next((api for api, host in HOSTS.items() if url.startswith(host)), None)
        if found is None:
            raise ValueError(f"{self.name} is about the server {url}, which is none of the APIs'")
        return found

    @property
    def prefix(self) -> str:
        """Path of its server."""
        return urlsplit(self._url).path.rstrip("/")

    @property
    def _url(self) -> str:
        # Servers of operations are those of the document, as far as is known.
        try:
            url = str(self.content["servers"][0]["url"])
        except (LookupError, TypeError):
            raise ValueError(f"{self.name} names no server") from None
        for wrong, right in MISPRINTS.items():
            url = url.replace(wrong, right)
        return url

    @property
    def operations(self) -> list[str]:
        """Method and path of each operation, with the path of the server."""
        return [
            f"{method.upper()} {self.prefix}{path}"
            for path, methods in self.content["paths"].items()
            for method in _METHODS
            if method in methods
        ]

    def only(self, operations: Collection[str]) -> dict[str, Any]:
        """Return the document with some of its operations."""
        paths = {
            path: {
                name: value
                for name, value in methods.items()
                if name not in _METHODS or f"{name.upper()} {self.prefix}{path}" in operations
            }
            for path, methods in self.content["paths"].items()
        }
        used = {path: methods for path, methods in paths.items() if methods.keys() & {*_METHODS}}
        return {**self.content, "paths": used}

    def operation(self, exchange: Exchange) -> tuple[str, SchemaPath] | None:
        """Return the name of an exchange's operation, and the operation; ``None`` without one."""
        url = HOSTS[exchange.api] + exchange.path
        try:
            found = APICallPathFinder(self.openapi.spec).find(exchange.method.lower(), url)
        except PathError:
            return None
        prefix = urlsplit((found.server / "url").read_str()).path.rstrip("/")
        path = found.path_result.pattern
        return f"{exchange.method.upper()} {prefix}{path}", found.operation


@dataclass(frozen=True)
class Documents:
    """All documents of a folder.

    Args:
        documents: The OpenAPI documents.
        error_codes: The published ``errorCode``, if there is a list of them.
    """

    documents: Sequence[ApiDocument]
    error_codes: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def read(cls, folder: Path) -> Documents:
        """Read the documents in a folder and its subfolders.

        Raises:
            ValueError: A file is damaged, or none is an OpenAPI document.
        """
        documents: list[ApiDocument] = []
        codes: set[str] = set()
        for file in sorted(folder.rglob("*")):
            if file.suffix not in _SUFFIXES or not file.is_file():
                continue
            try:
                content = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise ValueError(f"{file.name} is neither JSON nor YAML") from error
            if not isinstance(content, dict):
                continue
            if "openapi" in content:
                documents.append(ApiDocument(str(file.relative_to(folder)), content))
            codes |= {str(each["code"]) for each in content.get("error_codes", ())}
        if not documents:
            raise ValueError("there is no OpenAPI document")
        return cls(documents, frozenset(codes))

    def operations(self) -> dict[str, list[str]]:
        """Return the published operations of each API."""
        found: dict[str, list[str]] = {api: [] for api in HOSTS}
        for document in self.documents:
            found[document.api] += document.operations
        return found

    def differences(self, exchange: Exchange) -> tuple[str, list[Difference]]:
        """Return the name of an exchange's operation, and how the exchange differs from it."""
        for document in self.documents:
            if (found := document.operation(exchange)) is not None:
                name, operation = found
                return name, [*self._found(document, name, operation, exchange)]
        name = f"{exchange.method} {exchange.path}"
        if not exchange.own:  # a request that no document describes: its response is free
            return name, []
        return name, [Difference(exchange.api, name, "request", "the operation is not published")]

    def _found(
        self, document: ApiDocument, name: str, operation: SchemaPath, exchange: Exchange
    ) -> Iterator[Difference]:
        request, response = _Request(exchange), _Response(exchange)
        if exchange.own:
            for error in document.openapi.iter_request_errors(request):
                for problem in _problems(error):
                    yield Difference(exchange.api, name, "request", problem)
            for parameter in _unknown_parameters(operation, exchange):
                problem = f"the parameter {parameter} is not published"
                yield Difference(exchange.api, name, "request", problem)
        part = f"response {exchange.status}"
        for error in document.openapi.iter_response_errors(request, response):
            for problem in _problems(error):
                yield Difference(exchange.api, name, part, problem)
        if (code := _error_code(exchange)) and self.error_codes and code not in self.error_codes:
            yield Difference(exchange.api, name, part, f"the errorCode {code} is not published")


def _error_code(exchange: Exchange) -> str | None:
    if exchange.status < 400:  # noqa: PLR2004 - errors
        return None
    try:
        content = json.loads(exchange.response_body)
    except ValueError:
        return None
    return content.get("errorCode") if isinstance(content, dict) else None


def _unknown_parameters(operation: SchemaPath, exchange: Exchange) -> list[str]:
    known = set()
    if "parameters" in operation:
        for parameter in operation / "parameters":
            if (parameter / "in").read_str() == "query":
                known.add((parameter / "name").read_str())
    return sorted({name for name, _ in exchange.query} - known)


def _problems(error: BaseException) -> Iterator[str]:
    """Yield what an error of openapi-core says, without values of the exchange."""
    inner = error.__cause__
    schema_errors = getattr(inner, "schema_errors", None) or getattr(error, "schema_errors", None)
    if schema_errors is None:
        text = f"{error}" if inner is None else f"{error} {inner}"
        yield text.replace(HOSTS["v1"], "").replace(HOSTS["uapi"], "")[:_LONG]
        return
    for each in schema_errors:
        place = "".join("[]" if isinstance(step, int) else f".{step}" for step in each.path)
        yield f"{place or 'the body'}: {_rule(each)}"


def _rule(error: Any) -> str:  # noqa: ANN401 - an error of jsonschema
    match error.validator:
        # openapi-core reports members that are not listed as errors of the list.
        case "additionalProperties" | "properties":
            known = error.schema.get("properties", {})
            return f"members {', '.join(sorted(set(error.instance) - set(known)))} not published"
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"members {', '.join(sorted(missing))} missing"
        case _:
            return f"not of the {error.validator} {error.validator_value}"[:_LONG]


def _with_explicit_rules(content: Any) -> Any:  # noqa: ANN401 - any JSON
    """Let objects whose members no document lists have any, and files be bytes."""
    if isinstance(content, dict):
        for value in content.values():
            _with_explicit_rules(value)
        if content.get("type") == "object" and "properties" not in content:
            content.setdefault("additionalProperties", True)
        if content.get("format") == "binary":  # since OpenAPI 3.1, bytes have no type
            content.pop("type", None)
    elif isinstance(content, list):
        for value in content:
            _with_explicit_rules(value)
    return content


def _servers_of(content: Mapping[str, Any]) -> Iterator[list[dict[str, str]]]:
    yield content.get("servers", [])
    for methods in content.get("paths", {}).values():
        for operation in methods.values():
            if isinstance(operation, dict):
                yield operation.get("servers", [])
