"""Of several rows of one key the last is sent, however they come."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from target_demandbase.column_groups import ColumnGroups
from target_demandbase.staging import StagedFile

BLOCKS = st.lists(st.lists(st.sampled_from(["", *"abcdefg"]), min_size=1, max_size=6), max_size=6)


@given(BLOCKS)
def test_the_last_row_of_each_key_is_left_in_its_order(blocks: list[list[str]]) -> None:
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
            groups.add(("key", "n"), lines, messages, block)
            number += len(block)
        files: list[StagedFile] = []
        superseded = groups.take(files)
        kept = [line for file in files for line in file.open().read().splitlines()[1:]]
        records = [file.record(row)["n"] for file in files for row in range(file.rows)]
        for file in files:
            file.close()
    expected = sorted(last.values())
    assert records == expected
    assert [int(line.rsplit(b",", 1)[1]) for line in kept] == expected
    assert superseded == len(rows) - len(last)
