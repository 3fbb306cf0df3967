"""Of several rows of one key the last is sent, however they come."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.arrow.keys import KeyColumn
from target_demandbase.staging import ColumnGroups, StagedFile

if TYPE_CHECKING:
    from target_demandbase.keys import Keys

BLOCKS = st.lists(st.lists(st.sampled_from(["", *"abcdefg"]), min_size=1, max_size=6), max_size=6)


@given(blocks=BLOCKS, in_columns=st.booleans())
def test_the_last_row_of_each_key_is_left_in_its_order(
    blocks: list[list[str]], *, in_columns: bool
) -> None:
    rows = [(key, number) for number, key in enumerate(key for block in blocks for key in block)]
    # Rows without a key stand for themselves.
    last = {key or number: number for key, number in rows}
    with TemporaryDirectory() as folder:
        groups = ColumnGroups(Path(folder), 10**6)
        number = 0
        for block in blocks:
            numbered = list(enumerate(block, number))
            lines = b"".join(b'"%s",%d\n' % (key.encode(), n) for n, key in numbered)
            messages = b"".join(b'{"record":{"n":%d}}\n' % n for n, _ in numbered)
            keys: Keys = KeyColumn(pa.array(block)) if in_columns and all(block) else block
            groups.add(("key", "n"), lines, messages, keys)
            number += len(block)
        files: list[StagedFile] = []
        superseded = groups.move_to(files)
        kept = [line for file in files for line in file.open().read().splitlines()[1:]]
        records = [file.record(row)["n"] for file in files for row in range(file.rows)]
        for file in files:
            file.close()
    expected = sorted(last.values())
    assert records == expected
    assert [int(line.rsplit(b",", 1)[1]) for line in kept] == expected
    assert superseded == len(rows) - len(last)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.sampled_from(["5", "05", "x"]))
def test_keys_of_a_column_are_found_by_their_texts(numbers: list[int], other: str) -> None:
    with TemporaryDirectory() as folder:
        groups = ColumnGroups(Path(folder), 10**6)
        groups.add(("key",), b'"k"\n' * len(numbers), b"{}\n" * len(numbers),
                   KeyColumn(pa.array(numbers)))  # fmt: skip
        assert groups.has_key(str(numbers[0]))
        may_be_one = other.lstrip("0") in map(str, numbers)
        assert groups.has_key(other) == may_be_one
        assert groups.fits(("key", "more"), 1, (other,)) == (not may_be_one)
        groups.close()


def test_rows_of_several_sets_of_columns_fit_together_if_no_key_is_in_two_files() -> None:
    short, wide = ("key",), ("key", "n")
    with TemporaryDirectory() as folder:
        groups = ColumnGroups(Path(folder), 10**6)
        assert groups.fit_together([(short, 9, ["a"])]) is not None
        assert groups.fit_together([(short, 9, ["a"]), (wide, 9, ["b", ""])]) is not None
        assert groups.fit_together([(short, 9, ["a", ""]), (wide, 9, ["", "A "])]) is None
        groups.add(short, b'"a"\n', b"{}\n", ["a"])
        for both in ([(wide, 9, ["b"]), (short, 9, ["a"])], [(short, 9, ["b"])]):
            assert groups.fit_together(both) is not None
        assert groups.fit_together([(wide, 9, ["A"]), (short, 9, ["b"])]) is None
        assert groups.fit_together([(wide, 10**6, ["b"]), (short, 9, ["a"])]) is None
        groups.close()
