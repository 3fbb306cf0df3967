"""An answer that says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class RefusalError(Exception):
    """Ends a request with a status and a sentence.

    Args:
        status: HTTP status.
        sentence: What is wrong, naming the field or entity.
        code: The published error code, where the API has one.
    """

    def __init__(self, status: int, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.code = code


def bad_request(sentence: str) -> RefusalError:
    """Return a 400."""
    return RefusalError(400, sentence)


def not_found(sentence: str) -> RefusalError:
    """Return a 404."""
    return RefusalError(404, sentence)


def reason_of(problem: Mapping[str, Any]) -> str:
    """Return pydantic's message without its prefix."""
    return str(problem["msg"]).removeprefix("Value error, ")


def sentence_of(problems: Sequence[Any]) -> str:
    """Return one sentence for what a request's validation found."""
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
    # A member's name may hold what cannot be sent.
    return "; ".join(parts).encode("utf-8", "replace").decode()
