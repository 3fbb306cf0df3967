"""A stream on its way to an entity: records become rows, rows become files, files are shipped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import InvalidJSONSchema, InvalidRecord
from singer_sdk.sinks import BatchSink
from typing_extensions import override

from target_demandbase import settings
from target_demandbase.blank_guard import BlankGuard
from target_demandbase.column_groups import ColumnGroups
from target_demandbase.columns import METADATA_PREFIXES
from target_demandbase.dead_letters import Reject
from target_demandbase.errors import MappingError
from target_demandbase.intake import Intake, RowError
from target_demandbase.preflight import plan_stream
from target_demandbase.record_json import record_bytes
from target_demandbase.settlement import INVALID, MISSING_KEY
from target_demandbase.shipment import Shipment
from target_demandbase.validation import SilentValidator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_demandbase.intake import Row
    from target_demandbase.staging import StagedFile
    from target_demandbase.target import TargetDemandbase
    from target_demandbase.undelivered import Undelivered

# Names in records can be data in disguise, and endless.
_MAX_NAMES_WARNED = 100
_MANY_JOBS = 10
_MAX_AGE_SECONDS = 300.0


class DemandbaseSink(BatchSink):
    """Stages a stream's rows and ships them in batches."""

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
        self._groups = ColumnGroups(
            settings.spool_folder(self.config), self.config["max_file_bytes"]
        )
        self._max_rows: int = self.config["batch_size_rows"]
        self._files: list[StagedFile] = []
        self._batch: int | None = None
        self._began = 0.0
        self._shipped = 0
        self._problem: RowError | None = None
        self._is_deleted = False
        self._blanks: dict[tuple[str, ...], BlankGuard] = {}
        self._known_names = set(schema["properties"])
        self._names_warned = 0

    @override
    def setup(self) -> None:
        """Check the stream's columns before any row is sent."""
        self._plan = plan_stream(
            self._target_demandbase.import_api,
            self.config,
            self.stream_name,
            self.schema,
            self.key_properties,
            self._run.tell_mapping,
        )
        self._run.join(self._plan.entity, self)
        self._guards_blanks = self.config["on_null"] == "blank"
        self._intake = Intake(
            self._plan,
            omit_null=not self._guards_blanks,
            max_bytes=self.config["max_file_bytes"],
        )

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

    # The SDK calls the next three for each record and lets any of them end the run. A record that
    # cannot be sent is kept instead, so they only note what is wrong with it.

    @override
    def _remove_sdc_metadata_from_record(self, record: dict[str, Any]) -> None:
        self._is_deleted = record.get("_sdc_deleted_at") is not None
        super()._remove_sdc_metadata_from_record(record)

    @override
    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        self._problem = None
        if self._validator is not None and not self._is_deleted:
            try:
                self._validator.validate(record)
            except InvalidRecord as error:
                self._problem = RowError(None, INVALID, error.error_message)
        return record

    @override
    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        missing = [name for name in self.key_properties if name not in record]
        if missing and not self._is_deleted:
            self._problem = RowError(
                missing[0], MISSING_KEY, f"the key property {missing[0]} is missing"
            )

    @property
    @override
    def is_full(self) -> bool:
        return self._groups.rows >= self._max_rows

    @property
    def is_old(self) -> bool:
        """Whether rows have waited for five minutes and nothing is on its way."""
        if self._batch is None or self._run.lane.is_busy:
            # While a job runs, rows gather: else a slow job would make the next batches tiny.
            return False
        return time.monotonic() - self._began > _MAX_AGE_SECONDS

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        if self._is_deleted:
            self._run.report.add_deletions_skipped(self.stream_name)
            self._run.cannot_delete()
            return
        if self._batch is None:
            self._batch = self._run.open_batch()
            self._began = time.monotonic()
        self._run.settlement.read(self.stream_name, self._batch)
        try:
            if self._problem is not None:
                raise self._problem
            row = self._intake.row(record)
        except RowError as error:
            reject = Reject(error.reason, error.field, error.type, None)
            self._run.settlement.unsendable(self._plan, self._batch, record, reject)
            return
        self._stage(row, record)
        if not record.keys() <= self._known_names:
            self._warn_of_names(record)

    def _stage(self, row: Row, record: dict[str, Any]) -> None:
        for other in self._run.other_sinks(self._plan.entity, self):
            if row.key and other.holds(row.key):
                # Two streams of one entity: the row that came first must land first.
                self._target_demandbase.drain_one(other)
        if not self._groups.takes(row.columns, row.line, row.key):
            self._ship()
        self._run.report.add_staged(self.stream_name)
        if self._groups.add(row.columns, row.line, record_bytes(record), row.key):
            self._run.report.add_deduplicated(self.stream_name)
        if self._guards_blanks:
            guard = self._blanks.get(row.columns)
            if guard is None:
                guard = self._blanks[row.columns] = BlankGuard(row.columns)
            guard.row(row.cells)

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        if self._batch is None:
            return
        self._ship()
        if self._shipped > _MANY_JOBS:
            self.logger.warning(
                "One batch of stream %s took %d jobs, since its records have so many different "
                "sets of columns. Let the tap send all properties, or lower batch_size_rows.",
                self.stream_name,
                self._shipped,
            )
        batch, self._batch, self._shipped = self._batch, None, 0
        self._run.close_batch(batch)

    def holds(self, key: str) -> bool:
        """Return whether a row of a match key waits to be shipped."""
        return self._groups.holds(key)

    @override
    def clean_up(self) -> None:
        super().clean_up()
        self._run.leave(self._plan.entity, self)

    def _ship(self) -> None:
        """Ship all that is staged, in the order of the files' first rows."""
        assert self._batch is not None  # noqa: S101 - rows belong to a batch
        self._warn_of_blanks()
        keys = self._groups.keys
        self._files += self._groups.take()
        while self._files:
            # From here on the file is the lane's.
            shipment = Shipment(self._plan, self._files.pop(0), self._batch, keys)
            self._run.lane.ship(shipment)
            self._shipped += 1

    @override
    def activate_version(self, new_version: int) -> None:
        """Do nothing: rows of older versions cannot be deleted; the target says so once."""

    def discard(self, undelivered: Undelivered | None) -> None:
        """Remove what is staged and will not be shipped.

        Args:
            undelivered: Where to keep it before, if anywhere.
        """
        if undelivered is not None:
            undelivered.keep(self._plan, [*self._files, *self._groups.files])
        for file in self._files:
            file.close()
        self._groups.close()

    def _warn_of_blanks(self) -> None:
        for guard in self._blanks.values():
            if blank := guard.mostly_blank():
                self.logger.warning(
                    "More than 95 %% of the rows of stream %s are empty in %s: that blanks these "
                    "fields in Demandbase. Set on_null: omit, or deselect them, if it should not.",
                    self.stream_name,
                    ", ".join(blank),
                )
        self._blanks = {}

    def _warn_of_names(self, record: dict[str, Any]) -> None:
        """Warn once of each property that the schema does not have."""
        for name in record.keys() - self._known_names:
            self._known_names.add(name)
            if name.startswith(METADATA_PREFIXES):
                continue
            self._names_warned += 1
            if self._names_warned <= _MAX_NAMES_WARNED:
                self.logger.warning(
                    "Records of stream %s have a property %s that their schema lacks; "
                    "it is not sent.",
                    self.stream_name,
                    name,
                )
