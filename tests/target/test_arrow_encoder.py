"""The fast path proves and the slow path explains: both make the same bytes, or one is silent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.singerlib.json import deserialize_json

from demandbase_api.models import ImportOperation
from target_demandbase.arrow.encoder import ArrowRowEncoder, EncodedBlock, EncodedRows
from target_demandbase.csv_writer import OnNull, RowEncoder, RowError
from target_demandbase.keys import key_texts
from target_demandbase.mapping import StreamSchema
from target_demandbase.plain_columns import plain_columns
from target_demandbase.plan import StreamPlan
from target_demandbase.validation import RecordValidator
from tests.examples import examples

pytestmark = pytest.mark.thorough

NULLABLE: dict[str, dict[str, Any]] = {
    "key": {"type": ["null", "string"]},
    "text": {"type": ["null", "string"]},
    "short": {"type": ["string", "null"], "maxLength": 3},
    "whole": {"type": ["null", "integer"]},
    "number": {"type": ["null", "number"]},
    "flag": {"type": ["null", "boolean"]},
    "day": {"type": ["null", "string"], "format": "date"},
    "moment": {"type": ["null", "string"], "format": "date-time"},
    "count": {"type": ["null", "number"]},
    "due": {"type": ["null", "string"], "format": "date-time"},
    "due_text": {"type": ["null", "string"]},
    "unsent": {"type": ["null", "number"]},
}
STRICT = {
    name: {**rule, "type": next(each for each in rule["type"] if each != "null")}
    for name, rule in NULLABLE.items()
}
RAW = {
    "key": ["null", '""', '"a"', '"A "', '"b\\"\\n,"'],
    "text": [
        "null", '""', '"x"', '"a,b"', '"\\"q\\""', '"l\\nl\\r\\n"', '"\\u0000"', '"\\ufeff"',
        '"\\ud83d\\ude00"', '"\\ud800"', '"é😀"', '"=1+1"', '" "', "5", "true", '"null"', "[]",
    ],
    "short": ["null", '"abc"', '"abcd"', '"😀😀😀"', '"😀😀😀😀"'],
    "whole": [
        "0", "-0", "5", "-7", "9007199254740993", "9223372036854775808", "1.0", "1e3", "null",
        "true", '"5"', "123456789012345678901234567890",
    ],
    "number": [
        "0", "-0", "-0.0", "1", "1.10", "1.5", "1e3", "1E-7", "0.12345678901234567890123",
        "123456789012345678901234567890", "null", '"1.5"', "true", "[1]", '{"a":1}', "NaN",
        "-Infinity",
    ],
    "flag": ["true", "false", "null", "1", '"true"'],
    "day": ["null", '"2026-01-02"', '"no day"', '""'],
    "moment": [
        "null", '""', '"2026-01-02T03:04:05Z"', '"2026-01-02T03:04:05.000000Z"',
        '"2026-01-02T03:04:05.120000Z"', '"2026-01-02T03:04:05+02:00"', '"2026-02-30T03:04:05Z"',
        '"2026-01-02T24:00:00Z"', '"2026-01-02T23:59:60Z"', '"0000-01-02T03:04:05Z"',
        '"0001-01-01T00:00:00+12:00"', '"2026-01-02T03:04:05"', '"2026-01-02"', '"x"',
        '"9999-12-31T23:59:59Z"',
    ],
    "count": ["0", "3.0", "-3.000", "-0", "-0.0", "1.10", "10.0", "1e3", "1.0e2", "null", '"1.0"'],
    "due": [
        "null", '""', '"2026-01-02T00:00:00Z"', '"2026-01-02T00:00:00.000000+00:00"',
        '"2026-01-02T02:00:00+02:00"', '"2026-01-02 00:00:00"', '"2026-01-02T00:00:00"',
        '"2026-01-02T00:00:01Z"', '"2026-01-02"', '"2026-02-30T00:00:00Z"', '"x"',
    ],
    "due_text": [
        "null", '""', '"2026-01-02T00:00:00Z"', '"2026-01-02 00:00:00+00:00"', '"2026-01-02"',
        '"2026-01-02T00:00:00.001Z"', '"2026-01-02T00:00:00Z\\n"', '"x 2026-01-02T00:00:00Z"',
        '"2026-01-02 00:00:00+00"', '"2026-01-02T00:00Z"', '"2026-01-02T00:00+01:00"',
        '"\u0661026-01-02T00:00:00Z"', '"x\\n2026-01-02T00:00:00Z"',
    ],
    "unsent": ["1", "1.5", "null", '"x"', "1e3"],
}  # fmt: skip
PLAIN = {
    "key": ['"a"', '"b"', '"é\\n"'], "text": ['"x"', '"\\"\\n,"', '""'], "short": ['"abc"'],
    "whole": ["1", "-5"], "number": ["1.10", "7", "-0.5", "-0", "1e6", "1.5E-07", "10.0", "0.1"],
    "flag": ["true", "false"],
    "day": ['"2026-01-02"'],
    "moment": [
        '"2026-01-02T03:04:05Z"', '"2026-01-02T03:04:05+00:00"', '"2026-01-02T03:04:05.000Z"',
        '"2026-01-02T03:04:05.120000+00:00"', '"2026-01-02 03:04:05"', '"2026-01-02T03:04:05"',
        '"2026-01-02 03:04:05.123+02"', '"2026-01-02T03:04:05.000001"', '"2026-01-02"', '""',
    ],
    "count": ["3.0", "7", "1e3"],
    "due": ['"2026-01-02T00:00:00Z"', '"2026-01-02T00:00:01Z"', '"2026-01-02T01:00:00+01:00"'],
    "due_text": ['"2026-01-02"', '"2026-01-02T00:00:00Z"'], "unsent": ["1.5"],
}  # fmt: skip


def plan(properties: dict[str, Any], keys: tuple[str, ...] = ("key",)) -> StreamPlan:
    schema = {"type": "object", "properties": properties}
    return StreamPlan(
        stream="s",
        entity="accounts",
        operation=ImportOperation.UPSERT,
        date_columns=frozenset({"day", "due", "due_text"} & properties.keys()),
        integer_columns=frozenset({"whole", "count"} & properties.keys()),
        match_key="key_field" if keys else None,
        fields={name: f"{name}_field" for name in properties if name != "unsent"},
        schema=schema,
        key_properties=keys,
        source=StreamSchema("s", schema, keys),
        required=frozenset({"text"}) & properties.keys(),
    )


def line(cells: dict[str, str], extra: str = "") -> bytes:
    members = ",".join(f'"{name}":{raw}' for name, raw in cells.items())
    return f'{{"type":"RECORD","stream":"s","record":{{{members}}}{extra}}}'.encode()


def text_of(lines: list[bytes]) -> bytes:
    return b"\n".join([*lines, b""])


def encode_all(encoder: ArrowRowEncoder, lines: list[bytes]) -> EncodedRows | None:
    """Return the rows of lines, which have the same columns, if all of them are taken."""
    text = text_of(lines)
    block = encoder.encode(text)
    if block is None or block.size < len(text):
        return None
    assert block.rows == len(lines)
    [rows] = block.groups
    return rows


def encoded(block: EncodedRows) -> bytes:
    rows = block.lines
    once = bytes(rows.encode([rows.values]))
    assert bytes(rows.encode([rows.values, rows.values])) == once * 2
    return once


def one_by_one(of: StreamPlan, lines: list[bytes], *, on_null: OnNull) -> list[Any]:
    """Return each record's row, or ``None`` where it has none."""
    encoder = RowEncoder(of, on_null=on_null, max_bytes=10**9)
    validator = RecordValidator(of.schema, {*of.fields, *of.key_properties})
    rows: list[Any] = []
    for each in lines:
        record = deserialize_json(each.decode())["record"]
        is_row = record.get("_sdc_deleted_at") is None and set(of.key_properties) <= record.keys()
        try:
            validator.validate(record)
            rows.append(encoder.encode(record) if is_row else None)
        except RowError:
            rows.append(None)
    return rows


def row_strategy(raw: dict[str, list[str]], *, whole: bool) -> st.SearchStrategy[dict[str, str]]:
    cells = {name: st.sampled_from(values) for name, values in raw.items()}
    return st.fixed_dictionaries(cells) if whole else st.fixed_dictionaries({}, optional=cells)


HOSTILE = st.lists(
    st.lists(row_strategy(PLAIN, whole=True), max_size=4).flatmap(
        lambda rows: st.lists(row_strategy(RAW, whole=True), max_size=2).map(lambda odd: rows + odd)
    )
    | st.lists(row_strategy(RAW, whole=False), max_size=2),
    min_size=1, max_size=3,
).map(lambda lists: [row for rows in lists for row in rows]).filter(bool)  # fmt: skip


@examples(400)
@given(
    rows=HOSTILE, nullable=st.booleans(), on_null=st.sampled_from(OnNull), keyed=st.booleans(),
    most=st.none() | st.integers(1, 4),
)  # fmt: skip
def test_what_the_fast_path_makes_is_what_the_slow_path_makes(
    rows: list[dict[str, str]], *, nullable: bool, on_null: OnNull, keyed: bool, most: int | None
) -> None:
    of = plan(NULLABLE if nullable else STRICT, ("key",) if keyed else ())
    lines = [line(cells) for cells in rows]
    block = ArrowRowEncoder(of, on_null=on_null).encode(text_of(lines), most)
    if block is None:
        return
    lines = lines[: block.rows]
    assert block.size == len(text_of(lines))
    assert most is None or block.rows <= most
    expected = one_by_one(of, lines, on_null=on_null)
    assert None not in expected
    check_groups(block, lines, expected)


def check_groups(block: EncodedBlock, lines: list[bytes], expected: list[Any]) -> None:
    by_columns = dict.fromkeys(row.columns for row in expected)
    assert [group.columns for group in block.groups] == [*by_columns]
    for group in block.groups:
        places = [place for place, row in enumerate(expected) if row.columns == group.columns]
        assert (group.rows, group.first) == (len(places), places[0])
        assert encoded(group) == b"".join(expected[place].line for place in places)
        assert group.lines.max_bytes >= sum(len(expected[place].line) for place in places)
        assert group.messages == text_of([lines[place] for place in places])
        assert list(key_texts(group.keys)) == [expected[place].key for place in places]


@examples()
@given(
    rows=st.lists(row_strategy(PLAIN, whole=True), min_size=1),
    nullable=st.booleans(),
    order=st.permutations(list(NULLABLE)),
)
def test_plain_records_take_the_fast_path_wherever_their_key_stands(
    rows: list[dict[str, str]], *, nullable: bool, order: list[str]
) -> None:
    properties = NULLABLE if nullable else STRICT
    of = plan({name: properties[name] for name in order})
    lines = [line(cells) for cells in rows]
    block = encode_all(ArrowRowEncoder(of, on_null=OnNull.BLANK), lines)
    assert block is not None
    counted = block.empty(block.columns)
    assert counted["text"] == sum(cells["text"] == '""' for cells in rows)


@examples()
@given(
    rows=st.lists(row_strategy(PLAIN, whole=True), min_size=2, max_size=8),
    absent=st.lists(st.sets(st.sampled_from(["short", "number", "moment", "flag", "due"]))),
    on_null=st.sampled_from([OnNull.BLANK, OnNull.BLANK_ABSENT]),
)
def test_records_that_lack_properties_are_grouped_by_their_columns(
    rows: list[dict[str, str]], absent: list[set[str]], on_null: OnNull
) -> None:
    of = plan(NULLABLE)
    for cells, names in zip(rows, absent, strict=False):
        for name in names:
            del cells[name]
    lines = [line(cells) for cells in rows]
    block = ArrowRowEncoder(of, on_null=on_null).encode(text_of(lines))
    assert block is not None
    assert block.rows == len(lines)
    check_groups(block, lines, one_by_one(of, lines, on_null=on_null))


@pytest.mark.parametrize("name", RAW)
def test_each_value_alone_is_as_the_slow_path_has_it(name: str) -> None:
    of = plan(NULLABLE)
    whole = {each: values[0] for each, values in PLAIN.items()}
    for raw in RAW[name]:
        lines = [line({**whole, name: raw})] * 2
        block = encode_all(ArrowRowEncoder(of, on_null=OnNull.BLANK), lines)
        if block is not None:
            expected = one_by_one(of, lines, on_null=OnNull.BLANK)
            assert encoded(block) == b"".join(row.line for row in expected), raw


@pytest.mark.parametrize(
    ("name", "raw"),
    [("text", "null"), ("whole", "9007199254740993"), ("number", "null"), ("number", "1.10"),
     ("number", "0.12345678901234567890123"), ("flag", "null"), ("short", '"😀😀😀"'),
     ("count", "3.0"), ("due", '"2026-01-02T00:00:00Z"'), ("due_text", "null"),
     ("moment", "null"), ("moment", '"2026-01-02T03:04:05+02:00"')],
)  # fmt: skip
def test_values_that_are_usual_stay_on_the_fast_path(name: str, raw: str) -> None:
    whole = {each: values[0] for each, values in PLAIN.items()}
    lines = [line(whole), line({**whole, name: raw})]
    assert encode_all(ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK), lines) is not None


@pytest.mark.parametrize(
    "odd",
    [
        b'{"type":"STATE","value":1}', b"", b"no JSON", b'{"type":"RECORD","stream":"s"}',
        b" ".join([line({n: v[0] for n, v in PLAIN.items()})] * 2),
        line({**{n: v[0] for n, v in PLAIN.items()}, "surplus": "1"}),
        line({**{n: v[0] for n, v in PLAIN.items()}, "_sdc_deleted_at": '"2026-01-02"'}),
        line({n: v[0] for n, v in PLAIN.items()}).replace(b'"stream":"s"', b'"stream":"t"'),
        line({n: v[0] for n, v in PLAIN.items()}).replace(b'"type":"RECORD",', b""),
        line({n: v[0] for n, v in PLAIN.items() if n != "text"}),
        b"\xff",
    ],
)  # fmt: skip
def test_what_is_no_plain_record_is_left_to_the_slow_path(odd: bytes) -> None:
    good = line({name: values[0] for name, values in PLAIN.items()})
    encoder = ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK)
    assert encode_all(encoder, [good, odd]) is None
    assert encode_all(encoder, [good, good]) is not None


def test_records_with_nul_characters_are_left_to_the_slow_path_which_counts_them() -> None:
    good = {name: values[0] for name, values in PLAIN.items()}
    odd = line({**good, "text": '"\\u0000a\\u0000b"'})
    encoder = ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK)
    assert encoder.encode(text_of([odd, odd])) is None
    block = encoder.encode(text_of([line(good), line(good), odd]))
    assert block is not None
    assert block.rows == 2
    several = encoder.encode(text_of([line(good), odd, line(good), odd]))
    assert several is not None
    assert several.rows == 1
    escaped = line({**good, "text": r'"\\u0000"'})
    assert encode_all(encoder, [escaped, escaped]) is not None
    [row] = one_by_one(plan(NULLABLE), [odd], on_null=OnNull.BLANK)
    assert (row.values[1], row.nul_characters) == ("ab", 2)


@pytest.mark.parametrize("rest", [b"", b"{}\n", b'{"type":"STATE","value":1}\n', b"\n", b"{"])
def test_records_before_a_line_that_is_none_are_taken(rest: bytes) -> None:
    good = line({name: values[0] for name, values in PLAIN.items()})
    text = text_of([good] * 3)
    encoder = ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK)
    block = encoder.encode(text + rest)
    assert block is not None
    assert (block.rows, block.size) == (3, len(text))
    block = encoder.encode(text + rest, 2)
    assert block is not None
    assert (block.rows, block.size) == (2, len(text_of([good] * 2)))


def test_ignored_properties_do_not_slow_the_next_records_down() -> None:
    odd = line({**{n: v[0] for n, v in PLAIN.items()}, "surplus": "[1]"})
    encoder = ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK)
    encoder.ignore(frozenset({"surplus"}))
    assert encode_all(encoder, [odd]) is not None


# Rules of properties, with values that are usual for them, and with others.
RULES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"type": ["string", "integer"]}, ['"5"', "5", '""'], ["null", "1.5", "true", '"\\ud800"']),
    ({"type": ["null", "string", "number"], "format": "date-time"}, ["1e3", "null"], ['"x"']),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ['"x"', "null"], ["1", "[]"]),
    (
        {"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]},
        ['"2026-01-02 03:04:05"', '"x"', "null"], ["1"],
    ),
    (
        {"oneOf": [{"type": "null"}, {"type": "string", "format": "date-time"}]},
        ['"2026-01-02 03:04:05"', "null"], ['"x"', "5"],
    ),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, ["1.5"], ["1", "null", '"x"']),
    ({"type": ["null", "object"]}, ["null", '{"a": 1.50, "b": "\\"é"}', "{}"], ["[]", '""']),
    (
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        ['{"a":1}', '{"a":1.0,"b":[1e3]}'], ["{}", '{"a":"x"}', "null"],
    ),
    (
        {"type": ["array", "null"], "items": {"type": "integer"}},
        ["[1, 2]", "[]", "null"], ['["x"]', "{}"],
    ),
    ({}, ["1", '"x"', "null", "[1]", "true"], []),
    ({"type": ["null", "string"], "pattern": "^a"}, ['"a1"', "null"], ['"b"', '""', "1"]),
    ({"type": "string", "enum": ["a", "b"]}, ['"a"', '"b"'], ['"c"', "null"]),
    ({"type": ["null", "string"], "enum": ["a"]}, ['"a"'], ["null", '"b"']),
    ({"type": "string", "format": "date-time", "maxLength": 20}, ['"2026-01-02T03:04:05Z"'],
     ['"2026-01-02T03:04:05+00:00"']),
    ({"type": ["null", "integer"], "minimum": -5, "maximum": 5}, ["5", "-5", "null", "3.0"],
     ["6", "-6", "1.5", "5.5"]),
    ({"type": "integer", "exclusiveMinimum": 0, "multipleOf": 3}, ["3", "9"], ["0", "4", "null"]),
    ({"type": "integer", "maxLength": 3}, ["12345"], ["null", '"1"']),
    (
        {
            "type": ["null", "number"], "multipleOf": Decimal("1E-38"),
            "exclusiveMaximum": Decimal("1E62"), "exclusiveMinimum": Decimal("-1E62"),
        },
        ["1.5", "12345678901.123", "null", "-0", "1e61"], ["1e62", "-1E63", "1e-39", '"1"'],
    ),
    (
        {
            "type": ["null", "number"], "multipleOf": Decimal("0.01"), "maximum": Decimal("99.99"),
            "minimum": Decimal("-99.99"),
        },
        ["99.99", "-1.50", "7", "1.500", "null"], ["100", "-99.991", "1.001", "1e2"],
    ),
    ({"type": "number", "minimum": 10}, ["10", "10.5", "1e2"], ["9.9", "-100", "null"]),
    ({"type": ["boolean", "null"], "enum": [True]}, ["true"], ["false", "null"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "usual", "others"), RULES)
def test_values_with_further_rules_are_as_the_slow_path_has_them(
    rule: dict[str, Any], usual: list[str], others: list[str]
) -> None:
    of = plan({"key": NULLABLE["key"], "text": NULLABLE["text"], "ruled": rule})

    def lines(*values: str) -> list[bytes]:
        cells = [{"key": f'"{n}"', "text": '"x"', "ruled": raw} for n, raw in enumerate(values)]
        return [line(each) for each in cells]

    def encode(*values: str) -> EncodedRows | None:
        return encode_all(ArrowRowEncoder(of, on_null=OnNull.BLANK), lines(*values))

    together = encode(*usual)
    assert together is not None
    assert encoded(together) == b"".join(
        row.line for row in one_by_one(of, lines(*usual), on_null=OnNull.BLANK)
    )
    for raw in [*usual, *others]:
        block = encode(usual[0], raw)
        rows = one_by_one(of, lines(usual[0], raw), on_null=OnNull.BLANK)
        assert (block is None) == (None in rows), raw
        if block is not None:
            assert encoded(block) == b"".join(row.line for row in rows), raw


def test_properties_that_are_not_sent_may_have_any_schema() -> None:
    of = plan({**NULLABLE, "unsent": {"type": ["array", "null"], "items": {"enum": [1]}}})
    cells = {name: values[0] for name, values in PLAIN.items()}
    encoder = ArrowRowEncoder(of, on_null=OnNull.BLANK)
    assert encode_all(encoder, [line({**cells, "unsent": '[{"a":1},null]'})] * 2) is not None


def test_properties_that_the_schema_forbids_are_left_to_the_slow_path() -> None:
    of = plan(NULLABLE)
    of.schema["additionalProperties"] = False  # type: ignore[index]
    cells = {name: values[0] for name, values in PLAIN.items()}
    encoder = ArrowRowEncoder(of, on_null=OnNull.BLANK)
    encoder.ignore(frozenset({"surplus"}))
    assert encode_all(encoder, [line(cells)]) is not None
    assert encode_all(encoder, [line({**cells, "surplus": "1"})]) is None


@pytest.mark.parametrize("word", ["patternProperties", "allOf", "minProperties", "not"])
def test_schemas_with_further_rules_are_read_one_by_one(word: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, word: {}}
    assert plain_columns(schema, {"a"}) is None


@pytest.mark.parametrize(
    ("bounds", "restricts"),
    [
        ({"minimum": -(2**63), "maximum": 2**63 - 1}, False),
        ({"minimum": -(2**63) + 1}, True),
        ({"maximum": 2**63 - 2}, True),
        ({"exclusiveMinimum": -(2**63) - 1, "exclusiveMaximum": 2**63}, False),
        ({"exclusiveMinimum": -(2**63)}, True),
        ({"exclusiveMaximum": 2**63 - 1}, True),
        ({"maximum": 2**63, "multipleOf": 2}, True),
    ],
)
def test_bounds_of_integers_restrict_only_if_they_reject_some(
    bounds: dict[str, int], *, restricts: bool
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", **bounds}}}
    found = plain_columns(schema, {"n"})
    assert found is not None
    assert found[0].has_rules is restricts


def test_decimals_keep_their_digits() -> None:
    number = str(Decimal("0.1") ** 25)
    whole = {each: values[0] for each, values in PLAIN.items()}
    text = format(Decimal(number), "f")
    block = encode_all(
        ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK), [line({**whole, "number": text})]
    )
    assert block is not None
    assert json.dumps(text).encode() in encoded(block)


@pytest.mark.parametrize("name", ['we"ird', "a\\b", "tab\there", "half \ud800"])
def test_names_that_json_cannot_hold_as_they_are_are_left_to_the_slow_path(name: str) -> None:
    assert plain_columns({"type": "object", "properties": {name: {}}}, ()) is None
    encoder = ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK)
    encoder.ignore(frozenset({name, "surplus"}))
    odd = line({**{n: v[0] for n, v in PLAIN.items()}, "surplus": "1"})
    assert encode_all(encoder, [odd]) is not None


@pytest.mark.parametrize(
    "moments",
    [
        ["2026-01-02T03:04:05", "Z2026-01-02T03:04:05Z"],
        ["2026-01-02T03:04:05Z2026-01-02T03:04:05Z", ""],
        ["", "2026-01-02T03:04:05Z2026-01-02T03:04:05Z"],
    ],
)
def test_date_times_that_are_right_only_together_are_left_to_the_slow_path(
    moments: list[str],
) -> None:
    whole = {each: values[0] for each, values in PLAIN.items()}
    lines = [line({**whole, "moment": json.dumps(moment)}) for moment in moments]
    assert encode_all(ArrowRowEncoder(plan(NULLABLE), on_null=OnNull.BLANK), lines) is None
