"""An answer that says no."""

from __future__ import annotations


class RefusalError(Exception):
    """Ends a request with a status and a sentence.

    Args:
        status: HTTP status.
        sentence: What is wrong, naming the field or entity.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def bad_request(sentence: str) -> RefusalError:
    """Return a 400."""
    return RefusalError(400, sentence)


def not_found(sentence: str) -> RefusalError:
    """Return a 404."""
    return RefusalError(404, sentence)
