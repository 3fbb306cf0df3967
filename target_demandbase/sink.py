"""The SDK's sink of a stream: validates records and passes them to the loader."""

from __future__ import annotations

import logging
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from singer_sdk.mapper import CustomStreamMap
from singer_sdk.sinks import BatchSink
from typing_extensions import override

from target_demandbase.csv_writer import RowError
from target_demandbase.flattening import NullParents
from target_demandbase.mapping import StreamSchema
from target_demandbase.rejects import MISSING_KEY
from target_demandbase.validation import RecordValidator, readable_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_demandbase.reader import Consumed
    from target_demandbase.target import TargetDemandbase


logger = logging.getLogger("target-demandbase")

_SHOWN = 20


MAPPING_FAILED = "stream_map_failed"


def mapping_error(error: Exception) -> RowError:
    """Return the reject of a record on which a stream map failed, with the column it was for."""
    column = None
    for frame, _ in walk_tb(error.__traceback__):
        # The SDK's own error names neither column nor stream.
        if frame.f_code is CustomStreamMap._eval.__code__:  # noqa: SLF001
            column = frame.f_locals["property_name"] or "__filter__"
    what = "stream maps" if column is None else f"the stream map of {column}"
    return RowError(column, MAPPING_FAILED, f"{what} failed on the record ({type(error).__name__})")


class DemandbaseSink(BatchSink):
    """Passes a stream's records on to the loader, one by one or as lines."""

    def __init__(
        self,
        target: TargetDemandbase,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._target_demandbase = target
        self._loader = target.loader
        self._problem: RowError | None = None
        self._null_parents: NullParents | None = None
        self._record_validator: RecordValidator | None = None

    @override
    def setup(self) -> None:
        """Check the stream's columns before any row is sent."""
        source = self._target_demandbase.source_of(self.stream_name)
        schema, ignored = readable_schema(self.schema)
        if ignored:
            logger.warning(
                "The schema of stream %s has keywords that cannot be read and are ignored: %s",
                self.stream_name,
                ", ".join(ignored[:_SHOWN]),
            )
        self._stream = self._loader.add_stream(
            StreamSchema(self.stream_name, schema, self.key_properties), source
        )
        if self.validate_schema:
            sent = {*self._stream.plan.fields, *self.key_properties}
            self._record_validator = RecordValidator(schema, sent)
        flattening = self._target_demandbase.mapper.flattening_options
        if flattening.enabled:
            self._null_parents = NullParents(source.schema, self.schema, flattening)

    @override
    def get_validator(self) -> BaseJSONSchemaValidator | None:
        return None  # ours needs the stream's plan

    @property
    @override
    def include_sdc_metadata_properties(self) -> bool:
        """False: metadata is never sent, whatever the setting add_record_metadata is."""
        return False

    # The SDK calls the next two methods for each record and lets an error of theirs end the run.
    # Here a record that cannot be sent is rejected instead, so they only store the error.

    @override
    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        self._problem = None
        if self._record_validator is not None:
            try:
                self._record_validator.validate(record)
            except RowError as error:
                self._problem = error
        return record

    @override
    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        missing = [name for name in self.key_properties if name not in record]
        if missing:
            self._problem = RowError(
                missing[0], MISSING_KEY, f"the key property {missing[0]} is missing"
            )

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        original = self._target_demandbase.original_record
        if self._problem is not None:
            self._loader.reject(self._stream, original, self._problem)
            return
        # Not before: the columns of an object that may be null need not be nullable themselves.
        values = self._null_parents.replaced(record) if self._null_parents else record
        self._loader.record(self._stream, values, original)

    def process(self, record: dict[str, Any], problem: RowError | None) -> None:
        """Process one record.

        Args:
            record: The record after stream maps.
            problem: Why stream maps failed on it, if they did.
        """
        context = self._get_context(record)
        if problem is None:
            self._remove_sdc_metadata_from_record(record)
            self._validate_and_parse(record)
            self._singer_validate_message(record)
        else:
            self._problem = problem
        self.tally_record_read()
        self.process_record(record, context)
        self.record_counter_metric.increment()

    @property
    def accepts_lines(self) -> bool:
        """Whether the stream's records can be processed as lines."""
        return self._loader.accepts_lines(self._stream)

    def process_record_lines(self, lines: bytes) -> Consumed:
        """Process RECORD messages without parsing each of them into a dictionary.

        Args:
            lines: Lines with line ends. Messages of other streams and types may be among them.

        Returns:
            The lines that were processed, from the first. The next one must be processed alone.
        """
        consumed = self._loader.record_lines(self._stream, lines)
        if consumed.records:
            self.tally_record_read(consumed.records)
            self.record_counter_metric.increment(consumed.records)
            if self.is_full:
                self._target_demandbase.drain_one(self)
        return consumed

    @property
    @override
    def is_full(self) -> bool:
        return self._stream.batch.rows_left <= 0

    @property
    def is_old(self) -> bool:
        """Whether rows have been staged for a long time and no import runs."""
        return self._loader.is_old(self._stream)

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        self._loader.close_batch(self._stream)

    @override
    def activate_version(self, new_version: int) -> None:
        """Do nothing: rows of older versions cannot be deleted. The target warns once."""

    @override
    def clean_up(self) -> None:
        super().clean_up()
        self._loader.remove_stream(self._stream)
