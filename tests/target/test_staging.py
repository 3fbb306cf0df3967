"""A staged file holds its rows and messages in order, however they came and whenever it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase import staging
from target_demandbase.staging import ColumnGroups, PendingRows, StagedFile
from tests.examples import examples
from tests.target.command import until

# How many rows come together, and whether later; 0 reads what is there.
STEPS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30)


def lines(numbers: Sequence[int]) -> bytes:
    return b"".join(b"%d,x\n" % number for number in numbers)


def message(number: int) -> bytes:
    return b'{"type":"RECORD","stream":"s","record":{"n":%d}}\n' % number


def later(numbers: Sequence[int]) -> PendingRows:
    cells: Any = [numbers]
    return PendingRows(cells, lambda blocks: b"".join(lines(cells[0]) for cells in blocks), 100)


@examples(100)
@given(steps=STEPS, together=st.sampled_from([1, 100, 10**6]))
def test_rows_are_in_the_file_in_the_order_in_which_they_came(
    steps: list[tuple[int, bool]], together: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "_TOGETHER_BYTES", together)
        file = StagedFile(Path(folder), ["n", "text"])
        for count, is_later in steps:
            numbers = range(file.rows, file.rows + count)
            messages = b"".join(map(message, numbers))
            if not count:
                assert file.size == len(b'"n","text"\n') + len(lines(range(file.rows)))
            elif is_later:
                file.append_later(later(numbers), messages, count)
            else:
                file.append(lines(numbers), messages, count)
        content = file.open().read()
        assert content == b'"n","text"\n' + lines(range(file.rows))
        assert file.sha256() == hashlib.sha256(content).hexdigest()
        assert [file.record(row)["n"] for row in range(file.rows)] == list(range(file.rows))
        assert b"".join(text for text, _ in file.messages()) == b"".join(
            map(message, range(file.rows))
        )
        file.close()


def test_only_the_file_that_rows_come_to_keeps_them_in_memory(tmp_path: Path) -> None:
    encoded: list[int] = []

    def encode(blocks: Any) -> bytes:  # noqa: ANN401
        encoded.extend(numbers[0] for cells in blocks for numbers in cells)
        return b"".join(lines(cells[0]) for cells in blocks)

    groups = ColumnGroups(tmp_path, 10**6)
    for number in range(6):
        cells: Any = [[number]]
        rows = PendingRows(cells, encode, 100)
        groups.add(("n", f"text{number % 3}"), rows, message(number), [str(number)])
    until(lambda: {0, 1, 2, 3, 4} <= set(encoded))
    assert [file.size for file in groups.files] == [len(b'"n","text0"\n') + 8] * 3
    assert sorted(encoded) == [0, 1, 2, 3, 4, 5]
    groups.close()
