"""Reading of JSON responses, and the errors for members that cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from demandbase_api.errors import ApiOperation, UnexpectedResponseError
from demandbase_api.http.json_reader import JobId, Text, check_readable, moment, parse, read

SECRET = "ada@private.example"


class Thing(msgspec.Struct, rename="camel"):
    thing_id: JobId
    name: Text
    row_count: int | None = None
    labels: tuple[str, ...] | None = None


def thing(**members: object) -> Thing:
    return read(ApiOperation.GET_EXPORT, {"thingId": "7", "name": "a", **members}, Thing)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ("7", "a", None, None)),
        ({"thingId": 7}, (7, "a", None, None)),
        ({"rowCount": 3, "labels": ["x", "y"], "mood": "fine"}, ("7", "a", 3, ("x", "y"))),
        ({"rowCount": None, "labels": None}, ("7", "a", None, None)),
        ({"rowCount": "3", "labels": ["x"]}, ("7", "a", None, ("x",))),
        ({"rowCount": True, "labels": "x,y"}, ("7", "a", None, None)),
        ({"rowCount": 3.5, "labels": ["x", None]}, ("7", "a", None, None)),
    ],
)
def test_an_odd_member_that_is_not_needed_has_its_default(
    members: dict[str, Any], expected: tuple[object, ...]
) -> None:
    assert msgspec.structs.astuple(thing(**members)) == expected


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"thingId": None}, "left out the member “thingId”"),
        ({"thingId": ""}, "gave a member “thingId” that cannot be read"),
        ({"thingId": True}, "gave a member “thingId” that cannot be read"),
        ({"name": None}, "left out the member “name”"),
        ({"name": [SECRET]}, "gave a member “name” that cannot be read"),
        ({"name": {SECRET: 1}, "rowCount": SECRET}, "gave a member “name” that cannot be read"),
    ],
)
def test_a_needed_member_is_named_and_its_value_is_not_shown(
    members: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        thing(**members)
    assert str(caught.value) == f"Demandbase {said} when asked to describe an export job."
    # The messages of msgspec quote keys and values.
    assert caught.value.__context__ is caught.value.__cause__ is None


@pytest.mark.parametrize("data", [None, 3, SECRET, [SECRET]])
def test_what_is_no_object_is_reported(data: object) -> None:
    with pytest.raises(UnexpectedResponseError, match="other than an object") as caught:
        read(ApiOperation.GET_EXPORT, data, Thing)
    assert SECRET not in str(caught.value)


def test_a_member_may_be_missing_and_yet_not_be_odd() -> None:
    operation = ApiOperation.GET_EXPORT
    for data in ({}, {"rowCount": None}, {"rowCount": 0}):
        check_readable(operation, data, thing(**data), "row_count")
    odd = {"rowCount": "0"}
    with pytest.raises(UnexpectedResponseError, match="“rowCount” that cannot be read"):
        check_readable(operation, odd, thing(**odd), "row_count")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.5+02:00", datetime(2026, 1, 2, 1, 4, 5, 500000, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("9999-12-31T23:59:59-01:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("1970-01-01T00:00:00Z", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_that_is_none_is_not_read(text: str | None, expected: datetime | None) -> None:
    found = moment(text)
    assert found == expected
    assert found is None or found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"a": "é"}),
        (b"[" * 50 + b"]" * 50, None),
        (b"[" * 200_000 + b"]" * 200_000, ValueError),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, ValueError),
        (b'{"a": ' + b"1" * 5_000 + b"}", ValueError),
        (b'{"a": "\xff"}', ValueError),
        (b"<html>", ValueError),
        (b"", ValueError),
    ],
)
def test_a_body_is_json_or_one_kind_of_error(body: bytes, expected: object) -> None:
    if expected is ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - its message is not shown
            parse(body)
    elif expected is None:
        assert isinstance(parse(body), list)
    else:
        assert parse(body) == expected
