from __future__ import annotations

import pytest

from target_demandbase.mapping import UnknownProperties


def test_endlessly_new_names_are_neither_told_of_nor_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = UnknownProperties("s", ["a"])
    for number in range(500):
        names.warn({"a": 1, f"n{number}": 1})
    assert len(names.seen) == 100
    assert 90 < caplog.text.count("their schema lacks") <= 100


def test_a_name_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    names = UnknownProperties("s", ["a"])
    for _ in range(3):
        names.warn({"a": 1, "b": 1, "_sdc_sequence": 1, "_reject_reason": "x"})
    assert caplog.text.count("their schema lacks") == 1
    assert "property b " in caplog.text
