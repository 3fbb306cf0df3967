"""A stream on its way to an entity, as the SDK sees it."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from jsonschema import ValidationError
from singer_sdk.exceptions import InvalidJSONSchema, InvalidRecord
from singer_sdk.sinks import BatchSink
from singer_sdk.sinks.core import JSONSchemaValidator
from typing_extensions import override

from demandbase_api.process import loading
from target_demandbase.batching import StreamBatches
from target_demandbase.csv_writer import RowEncoder, RowError
from target_demandbase.errors import MappingError
from target_demandbase.mapping import METADATA_PREFIXES
from target_demandbase.plan import plan_stream, suits_blocks
from target_demandbase.reader import NOTHING, Taken
from target_demandbase.results import INVALID, MISSING_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_demandbase.arrow.encoder import ArrowRowEncoder
    from target_demandbase.rejects import Undelivered
    from target_demandbase.target import TargetDemandbase


logger = logging.getLogger("target-demandbase")

# Names in records can be data in disguise, and endless.
_MAX_NAMES = 100

_SDK_NAMES = frozenset(
    f"_sdc_{name}"
    for name in (
        "extracted_at", "received_at", "batched_at", "sequence", "table_version", "sync_started_at",
    )
)  # fmt: skip


class UnknownNames:
    """The properties of one stream's records that are not sent, since no schema names them.

    Args:
        stream: Name of the stream.
        properties: The properties that its schema has.
    """

    def __init__(self, stream: str, properties: Iterable[str]) -> None:
        self._stream = stream
        self._known = set(properties)
        self.seen: frozenset[str] = _SDK_NAMES
        """Those that have been warned of, or need no warning; no more than a hundred or so."""

    def warn_of(self, record: Mapping[str, object]) -> None:
        """Warn of the properties of a record that nobody has been warned of."""
        if record.keys() <= self._known:
            return
        for name in record.keys() - self._known:
            if len(self.seen) >= _MAX_NAMES:
                return
            self._known.add(name)
            self.seen |= {name}
            if not name.startswith(METADATA_PREFIXES):
                logger.warning(
                    "Records of stream %s have a property %s that their schema lacks; "
                    "it is not sent.",
                    self._stream,
                    name,
                )


class SilentValidator(JSONSchemaValidator):
    """The SDK's validator; its message names the property and the rule only.

    The SDK's own message quotes the value, which may be personal data, and logs it.
    """

    @override
    def validate(self, record: dict[str, Any]) -> None:
        """Check a record.

        Raises:
            InvalidRecord: It does not fit the schema.
        """
        error = next(self.validator.iter_errors(record), None)
        if isinstance(error, ValidationError):
            # The place by the schema's names: in the record, an object's keys may be data, too.
            steps = list(error.absolute_schema_path)
            names = [str(name) for word, name in pairwise(steps) if word == "properties"]
            place = ".".join(names) or "the record"
            rule = f"{error.validator} {error.validator_value}"
            if error.validator == "required":
                missing = sorted(set(self.schema.get("required", ())) - set(record))
                rule = f"required: {', '.join(missing)}"
            sentence = f"{place} breaks the schema's rule “{rule}”"
            raise InvalidRecord(sentence, {}) from None


class DemandbaseSink(BatchSink):
    """Takes a stream's records, one by one or as lines."""

    def __init__(
        self,
        target: TargetDemandbase,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._target_demandbase = target
        self._run = target.imports
        self._problem: RowError | None = None

    @override
    def setup(self) -> None:
        """Check the stream's columns before any row is sent."""
        self._run.lane.settle_sending()
        self._plan = plan_stream(
            self._target_demandbase.import_api,
            self.config,
            self.stream_name,
            self.schema,
            self.key_properties,
            self._target_demandbase.source_of(self.stream_name),
            self._run.tell_mapping,
        )
        self._run.join(self._plan.entity, self)
        self._batches = StreamBatches(self._run, self._plan, self.config)
        self._names = UnknownNames(self.stream_name, self.schema["properties"])
        omit_null = self.config["on_null"] == "omit"
        self._intake = RowEncoder(
            self._plan, omit_null=omit_null, max_bytes=self.config["max_file_bytes"]
        )
        self._blocks = self._block_intake(omit_null=omit_null)

    def _block_intake(self, *, omit_null: bool) -> ArrowRowEncoder | None:
        if not suits_blocks(self._plan):
            self.logger.debug("Records of stream %s are read one by one", self.stream_name)
            return None
        # It brings an engine that takes its time to load.
        with loading("target_demandbase.arrow.encoder"):
            from target_demandbase.arrow.encoder import ArrowRowEncoder  # noqa: PLC0415

        return ArrowRowEncoder(self._plan, omit_null=omit_null)

    @override
    def get_validator(self) -> BaseJSONSchemaValidator | None:
        if not self.validate_schema:
            return None
        try:
            return SilentValidator(self.schema)
        except InvalidJSONSchema:
            raise MappingError(
                f"The schema of stream {self.stream_name} is no valid JSON schema. Check the tap.",
                stream=self.stream_name,
            ) from None

    @property
    @override
    def include_sdc_metadata_properties(self) -> bool:
        """False: they are never sent, whatever add_record_metadata says."""
        return False

    # The SDK calls the next two for each record and lets any of them end the run. A record that
    # cannot be sent is kept instead, so they only note what is wrong with it.

    @override
    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        self._problem = None
        if self._validator is not None:
            try:
                self._validator.validate(record)
            except InvalidRecord as error:
                self._problem = RowError(None, INVALID, error.error_message)
        return record

    @override
    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        missing = [name for name in self.key_properties if name not in record]
        if missing:
            self._problem = RowError(
                missing[0], MISSING_KEY, f"the key property {missing[0]} is missing"
            )

    @property
    @override
    def is_full(self) -> bool:
        return self._batches.room <= 0

    @property
    def is_old(self) -> bool:
        """Whether rows have waited for long and nothing is on its way."""
        return self._batches.is_old

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        original = self._target_demandbase.original_record
        try:
            if self._problem is not None:
                raise self._problem
            row = self._intake.row(record)
        except RowError as error:
            self._batches.reject(original, error)
            return
        for other in self._run.other_sinks(self._plan.entity, self):
            if row.key and other.holds(row.key):
                # Two streams of one entity: the row that came first must land first.
                self._target_demandbase.drain_one(other)
        self._batches.stage(row, original)
        self._names.warn_of(record)

    @property
    def takes_lines(self) -> bool:
        """Whether records can be taken without a look at each of them."""
        return self._blocks is not None and not self._run.other_sinks(self._plan.entity, self)

    def take_lines(self, lines: bytes) -> Taken:
        """Take RECORD messages of this stream without a look at each of them.

        Args:
            lines: Messages, each with its line end; maybe others among them.

        Returns:
            How many of them were taken, from the first on; what follows needs a closer look.
        """
        if self._blocks is None:
            return NOTHING
        self._blocks.knows(self._names.seen)
        block = self._blocks.rows(lines, self._batches.room)
        if block is None or any(block.empty(self._plan.must_fill).values()):
            return NOTHING
        if not self._batches.stage_block(block, lines[: block.size]):
            return NOTHING
        self.tally_record_read(block.rows)
        self.record_counter_metric.increment(block.rows)
        if self.is_full:
            self._target_demandbase.drain_one(self)
        return Taken(block.rows, block.size)

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        self._batches.close_batch()

    def holds(self, key: str) -> bool:
        """Return whether a row of a match key waits to be shipped."""
        return self._batches.holds(key)

    @override
    def activate_version(self, new_version: int) -> None:
        """Do nothing: rows of older versions cannot be deleted; the target says so once."""

    @override
    def clean_up(self) -> None:
        super().clean_up()
        self._run.leave(self._plan.entity, self)

    def discard(self, undelivered: Undelivered | None) -> None:
        """Remove what is staged and will not be shipped.

        Args:
            undelivered: Where to keep it before, if anywhere.
        """
        self._batches.discard(undelivered)
