"""What the file of one export says about each guess of docs/assumptions.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_api.config import Api
from demandbase_api.errors import ApiOperation
from demandbase_api.words import counted
from demandbase_cli.deep.evidence import (
    Evidence,
    Finding,
    as_assumed,
    counts,
    differs,
    judged,
    listed,
    names,
    not_seen,
    seen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from demandbase_cli.deep.sample import Sample

_UAPI, _V1 = frozenset({Api.UAPI}), frozenset({Api.V1})
_NUMBERED = frozenset({"accounts", "account_list_members", "person_list_members"})
"""Entities whose ids requests name, as numbers."""
_FILE_HEADERS = ("content-length", "etag", "last-modified", "accept-ranges")
_INTEGERS = frozenset({"digits", "digits and .0", "with an exponent"})
_NO_ROWS = "the export has no rows: try another day with --day, or another stream"


@dataclass(frozen=True, slots=True)
class SampleGuess:
    """A guess that the file of an export answers.

    Args:
        name: Its name in docs/assumptions.md.
        find: Returns the finding.
        apis: The APIs for which it is a guess.
        entities: The entities that it is about. Default: all.
    """

    name: str
    find: Callable[[Sample, Evidence], Finding]
    apis: frozenset[Api] = frozenset(Api)
    entities: frozenset[str] | None = None

    def is_about(self, api: Api, entity: str) -> bool:
        """Return whether it is a guess about an entity of an API."""
        return api in self.apis and (self.entities is None or entity in self.entities)


def _empty(sample: Sample, _: Evidence) -> Finding:
    if sample.rows:
        return not_seen("the export has rows")
    if not sample.received:
        return as_assumed("an export without rows has a file without bytes, or no file")
    return judged("an export without rows has a header", is_right=sample.columns > 0)


def _format(sample: Sample, _: Evidence) -> Finding:
    if not sample.received:
        return not_seen(_NO_ROWS)
    ends = {name: 1 for name, number in sample.line_ends.items() if number}
    says = (
        f"lines end with {names(ends)}; "
        f"{'a' if sample.has_mark else 'no'} byte order mark; "
        f"{sample.problem or 'strict CSV in UTF-8'}; "
        f"{counted(sample.ragged_rows, 'row')} of another width than the header"
    )
    return judged(says, is_right=not (sample.problem or sample.ragged_rows))


def _header(sample: Sample, _: Evidence) -> Finding:
    if not sample.columns:
        return not_seen(_NO_ROWS)
    found = dict(sample.headings)
    says = (
        f"{counted(sample.columns, 'column')} of {len(sample.fields)} requested fields; spelt as "
        f"{counts(found)}; {'in' if sample.in_order else 'not in'} the order of the request"
    )
    odd = found.get("of no field", 0) + found.get("in another case", 0)
    return judged(says, is_right=not odd and sample.columns == len(sample.fields))


def _nulls(sample: Sample, _: Evidence) -> Finding:
    if not sample.rows:
        return not_seen(_NO_ROWS)
    says = (
        f"{counted(sample.empty_cells, 'empty cell')} in {counted(sample.rows, 'row')}; texts that "
        f"may stand for null: {_words(sample.nulls)}, and in text fields "
        f"{_words(sample.null_texts)}"
    )
    if sample.null_texts and not sample.nulls:
        return seen(says)  # they may be values
    return judged(says, is_right=not sample.nulls)


def _words(found: Mapping[str, int]) -> str:
    return counts({f"“{word}”": number for word, number in found.items()})


def _whole_numbers(sample: Sample, _: Evidence) -> Finding:
    forms = sample.forms.get("integer")
    if not forms:
        return not_seen("no cell of a whole-number field has a value")
    return judged(f"cells of whole-number fields: {counts(forms)}", is_right={*forms} <= _INTEGERS)


def _numbers(sample: Sample, _: Evidence) -> Finding:
    forms = sample.forms.get("number")
    if not forms:
        return not_seen("no cell of a number field has a value")
    odd = {"of another form", "with thousands separators"} & {*forms}
    return judged(f"cells of number fields: {counts(forms)}", is_right=not odd)


def _booleans(sample: Sample, _: Evidence) -> Finding:
    forms = sample.forms.get("boolean")
    if not forms:
        return not_seen("no cell of a yes-or-no field has a value")
    return judged(f"cells of yes-or-no fields: {counts(forms)}",
                  is_right="of another form" not in forms)  # fmt: skip


def _date_forms(sample: Sample, _: Evidence) -> Finding:
    says, is_right = [], True
    for kind, word in (("date", "dates"), ("date-time", "times")):
        if forms := sample.forms.get(kind):
            says.append(f"{word}: {counts(forms)}")
            is_right &= all(form.startswith("9999-99-99") for form in forms)
    return judged("; ".join(says), is_right=is_right) if says else not_seen("no date has a value")


def _range(sample: Sample, _: Evidence) -> Finding:
    if sample.first is None or sample.date_property is None:
        return not_seen("the stream has no date that bounds its exports")
    if not sample.rows:
        return not_seen(_NO_ROWS)
    days: Mapping[str, int] = sample.days.get(sample.date_property) or {}
    says = f"dates of the rows of an export of two days: {counts(days)}"
    outside = days.get("other days", 0) + days.get("of another form", 0)
    if outside:
        return differs(says)
    if days.get("first day") and days.get("second day"):
        return as_assumed(f"{says}; both ends are included")
    return seen(f"{says}; an end is excluded, or one of the days has no rows")


def _bounding_date(sample: Sample, _: Evidence) -> Finding:
    if sample.first is None or not sample.rows:
        return not_seen("the export has no rows, or no date bounds it")
    within = [
        name
        for name, days in sample.days.items()
        if not days.get("other days") and (days.get("first day") or days.get("second day"))
    ]
    return judged(
        f"{names([sample.date_property or ''])} is taken; dates that are all within the two days: "
        f"{names(within)}",
        is_right=sample.date_property in within,
    )


def _size(sample: Sample, evidence: Evidence) -> Finding:
    if not sample.parts:
        return not_seen("the export has no file")
    announced = None if sample.job is None else sample.job.file_size_bytes
    sizes = {
        "the bytes of the files": sample.received,
        "the bytes without gzip": sample.plain_bytes,
    }
    equal = [name for name, size in sizes.items() if size == announced]
    says = f"{counted(sample.parts, 'part')}, {sample.gzip_parts} of them gzip; "
    if announced is None:
        says += "the job gives no size"
    else:
        says += f"the size of the job is {' and '.join(equal) or 'neither of both sizes'}"
    known = [name for name in _FILE_HEADERS if name in evidence.file_headers]
    return judged(f"{says}; the file's host sends {', '.join(known) or 'none of the headers'}",
                  is_right=announced is None or bool(equal))  # fmt: skip


def _count(sample: Sample, _: Evidence) -> Finding:
    announced = None if sample.job is None else sample.job.record_count
    if announced is None:
        return not_seen("the job gives no number of records")
    equal = announced == sample.rows
    says = "the number of records of the job is that of the rows"
    return judged(says if equal else f"{says.replace(' is ', ' is not ')}", is_right=equal)


def _key(sample: Sample, _: Evidence) -> Finding:
    if not sample.key:
        return not_seen("no key is known for the stream")
    if not sample.rows:
        return not_seen(_NO_ROWS)
    again, alike = sample.rows - len(sample.keys), len(sample.keys) - len(sample.folded_keys)
    return judged(
        f"{names(sample.key)}: {again} of {counted(sample.rows, 'row')} share it with another; "
        f"{sample.keys_with_empty} lack a part of it; {alike} differ from another only in upper "
        "and lower case",
        is_right=not (again or sample.keys_with_empty),
    )


def _numeric(sample: Sample, _: Evidence) -> Finding:
    if not sample.key or not sample.rows:
        return not_seen("no key is known for the stream, or there are no rows")
    return judged(
        f"{names(sample.key)}: whole numbers in {sample.numeric_keys} of "
        f"{counted(sample.rows, 'row')}",
        is_right=sample.numeric_keys == sample.rows,
    )


def _lag(sample: Sample, evidence: Evidence) -> Finding:
    if sample.job is None or sample.created_at is None:
        return not_seen("a job of an earlier run was used")
    missing = 0
    for page in evidence.received:
        if page.operation is not ApiOperation.LIST_EXPORTS or page.at < sample.created_at:
            continue
        jobs = [*listed(page.document, "jobs"), *listed(page.document, "data")]
        ids = {str(job.get("jobId", job.get("id"))) for job in jobs if isinstance(job, dict)}
        seconds = (page.at - sample.created_at).total_seconds()
        if sample.job.id in ids:
            return judged(
                f"in the list {seconds:.1f} s after its creation, missing in {missing} earlier",
                is_right=not missing,
            )
        missing += 1
    return differs(f"not in the list, which was read {missing} times")


SAMPLE_GUESSES: tuple[SampleGuess, ...] = (
    SampleGuess("date-ranges", _range),
    SampleGuess("bounding-date", _bounding_date),
    SampleGuess("csv-header", _header),
    SampleGuess("csv-format", _format),
    SampleGuess("csv-dates", _date_forms),
    SampleGuess("csv-nulls", _nulls),
    SampleGuess("csv-booleans", _booleans),
    SampleGuess("csv-numbers", _numbers),
    SampleGuess("whole-numbers", _whole_numbers),
    SampleGuess("file-size", _size),
    SampleGuess("record-count", _count, _V1),
    SampleGuess("empty-exports", _empty),
    SampleGuess("key-values", _key),
    SampleGuess("numeric-ids", _numeric, _UAPI, _NUMBERED),
    SampleGuess("list-lag", _lag),
)
"""Guesses that need an export, in the order of docs/assumptions.md."""
