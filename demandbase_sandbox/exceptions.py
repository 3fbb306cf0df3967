"""The error that ends a call, and the words for what validation finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ApiError(Exception):
    """Ends a call with an error document.

    Args:
        status: HTTP status.
        message: What is wrong, naming the field or entity.
        code: The published error code, if the API has one.
    """

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def bad_request(message: str) -> ApiError:
    """Return a 400."""
    return ApiError(400, message)


def not_found(message: str) -> ApiError:
    """Return a 404."""
    return ApiError(404, message)


def describe_problems(problems: Sequence[Any]) -> str:
    """Return one sentence for what pydantic found in a request."""
    parts = []
    for problem in problems:
        place = ".".join(str(step) for step in problem["loc"][1:]) or str(problem["loc"][0])
        match problem["type"]:
            case "extra_forbidden" | "unexpected_keyword_argument":
                parts.append(f"unknown member {place}")
            case "missing":
                parts.append(f"{place} is missing")
            case _:
                parts.append(f"{place}: {problem['msg']}")
    # A member's name can hold half of a surrogate pair, which cannot be sent.
    return "; ".join(parts).encode("utf-8", "replace").decode()


def problem_message(problem: Mapping[str, Any]) -> str:
    """Return pydantic's message without the prefix of a ``ValueError``."""
    return str(problem["msg"]).removeprefix("Value error, ")
