from __future__ import annotations

import pytest

from demandbase_api.words import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")]
)
def test_a_number_has_its_noun(number: int, said: str) -> None:
    assert counted(number, "row") == said
