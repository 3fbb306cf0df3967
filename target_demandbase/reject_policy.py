"""When rejected rows end the run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


_TELLING_ROWS = 1000


class OnReject(StrEnum):
    """What rejected rows do to the run."""

    FAIL = "fail"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class RejectPolicy:
    """How many rejected rows a run bears.

    Args:
        on_reject: Whether it bears any.
        max_rows: How many it bears in all; ``None`` for any number.
        max_percent: Which share of the rows read so far; ``None`` for any.
    """

    on_reject: OnReject
    max_rows: int | None = None
    max_percent: float | None = None

    def breach(self, rejected: int, read: int, *, is_all: bool = True) -> str | None:
        """Return why the run has to end, as a clause, or ``None`` where it goes on.

        Args:
            rejected: Rows rejected so far in the run.
            read: Rows read so far in the run.
            is_all: Whether no more rows come; before that, a share of a few rows says little.
        """
        if not rejected:
            return None
        if self.on_reject is OnReject.FAIL:
            return "on_reject is fail"
        if self.max_rows is not None and rejected > self.max_rows:
            return f"{rejected} rejected rows are more than max_rejected_rows ({self.max_rows})"
        share = 100 * rejected / max(read, rejected)
        is_telling = is_all or read >= _TELLING_ROWS
        if self.max_percent is not None and is_telling and share > self.max_percent:
            return (
                f"{share:.1f} % rejected rows are more than max_rejected_percent "
                f"({self.max_percent:g})"
            )
        return None


def rejected_sentence(  # noqa: PLR0913 - all of it is told
    *,
    stream: str,
    rejected: int,
    rows: int,
    digest: Sequence[str],
    breach: str,
    kept: Sequence[str],
    is_dry: bool = False,
) -> str:
    """Return the sentence that ends the run, without a value.

    Args:
        stream: The stream.
        rejected: Rows of the batch that were not taken.
        rows: Rows of the batch.
        digest: What was wrong, by field and type.
        breach: Why the run ends.
        kept: The files that hold the rejected rows.
        is_dry: Whether nothing is sent.
    """
    others = "Nothing was sent" if is_dry else "The other rows of the batch have landed"
    return (
        f"{rejected} of {rows} rows of stream {stream} were rejected: {'; '.join(digest)}. "
        f"{others}. The rejected ones are in {', '.join(kept)}: "
        f"correct that file and send it with “cat FILE | target-demandbase”. The run ends since "
        f"{breach}."
    )
