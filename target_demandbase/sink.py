"""A stream on its way to an entity: rows are staged as CSV and sent as import jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import InvalidJSONSchema, InvalidRecord
from singer_sdk.helpers._typing import get_datelike_property_type
from singer_sdk.sinks import BatchSink
from typing_extensions import override

from demandbase_api.job_life import JobLife
from demandbase_api.models import ColumnMapping, ImportOperation, ImportRequest
from target_demandbase import settings
from target_demandbase.columns import plan_columns
from target_demandbase.encode import encode_cell
from target_demandbase.errors import InputError, MappingError
from target_demandbase.import_task import ImportTask
from target_demandbase.routing import entity_for, match_key_for
from target_demandbase.staging import StagedFile, encode_row
from target_demandbase.validation import SilentValidator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_demandbase.target import TargetDemandbase


class DemandbaseSink(BatchSink):
    """Stages a stream's rows and sends them as import jobs.

    Rows are grouped by the columns that they have: an absent property must not become an empty
    cell, which would blank the field in Demandbase.
    """

    def __init__(
        self,
        target: TargetDemandbase,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._api = target.import_api
        self._life = JobLife(settings.poll_policy(self.config))
        self._folder = settings.spool_folder(self.config)
        self._max_rows: int = self.config["batch_size_rows"]
        self._max_bytes: int = self.config["max_file_bytes"]
        self._operation = ImportOperation(self.config["operation"])
        self._staged: dict[tuple[str, ...], StagedFile] = {}
        self._jobs = 0
        properties: dict[str, Any] = schema["properties"]
        self._date_times = {
            name
            for name, rule in properties.items()
            if get_datelike_property_type(rule) == "date-time"
        }

    @override
    def setup(self) -> None:
        """Check the stream's columns before any row is sent."""
        known = self._api.capabilities.entities
        self._entity = entity_for(self.stream_name, self.config.get("entity_map") or {}, known)
        renamed = (self.config.get("field_mappings") or {}).get(self._entity) or {}
        plan = plan_columns(
            stream=self.stream_name,
            entity=self._entity,
            columns=list(self.schema["properties"]),
            known=self._api.mappings(self._entity),
            renamed=renamed,
            operation=self._operation,
            drop_unknown=self.config["unknown_fields"] == "drop",
        )
        self._fields = plan.fields
        self._match_key = match_key_for(
            self.stream_name,
            self._operation,
            (self.config.get("match_keys") or {}).get(self._entity),
            [plan.fields.get(name, name) for name in self.key_properties],
        )
        if self._match_key is not None and self._match_key not in plan.fields.values():
            raise MappingError(
                f"Stream {self.stream_name}: no column fills the match key {self._match_key} of "
                f"{self._entity}. Set match_keys.{self._entity} to one of "
                f"{', '.join(sorted(plan.fields.values()))}.",
                stream=self.stream_name,
            )
        if plan.dropped:
            self.logger.warning(
                "Columns that Demandbase does not know are not sent: %s", ", ".join(plan.dropped)
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

    @override
    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        # The SDK's own logs a traceback before it raises, and shows dates that it cannot parse.
        if self._validator is not None:
            try:
                self._validator.validate(record)
            except InvalidRecord as error:
                number = self._total_records_read + 1
                raise InvalidRecord(
                    f"Record {number} of stream {self.stream_name}: {error.error_message}. "
                    "Correct it at the source.",
                    {},
                ) from None
        return record

    @property
    @override
    def is_full(self) -> bool:
        return sum(staged.rows for staged in self._staged.values()) >= self._max_rows

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        columns = tuple(column for column in self._fields if column in record)
        row = self._encode(record, columns)
        staged = self._staged.get(columns)
        if staged is not None and staged.size + len(row) > self._max_bytes:
            self._send_all()
            staged = None
        if staged is None:
            staged = self._staged[columns] = StagedFile(self._folder, columns)
            if staged.size + len(row) > self._max_bytes:
                raise InputError(
                    f"A record of stream {self.stream_name} is larger than max_file_bytes "
                    f"({self._max_bytes}). Raise that setting or shorten the record.",
                    stream=self.stream_name,
                )
        staged.append(row)

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        self._send_all()

    @override
    def clean_up(self) -> None:
        super().clean_up()
        for staged in self._staged.values():
            staged.close()

    def _encode(self, record: dict[str, Any], columns: tuple[str, ...]) -> bytes:
        cells = []
        for column in columns:
            try:
                cell = encode_cell(record[column], is_date_time=column in self._date_times)
                cell.encode()
            except ValueError:
                raise InputError(
                    f"Record {self._total_records_read} of stream {self.stream_name}: the value "
                    f"of {column} cannot be written to a CSV file. Correct it at the source.",
                    stream=self.stream_name,
                ) from None
            cells.append(cell)
        return encode_row(cells)

    def _send_all(self) -> None:
        """Send each staged file as a job of its own, in the order of their first rows."""
        staged_files, self._staged = self._staged, {}
        try:
            for staged in staged_files.values():
                self._send(staged)
        finally:
            for staged in staged_files.values():
                staged.close()

    def _send(self, staged: StagedFile) -> None:
        self._jobs += 1
        request = ImportRequest(
            entity=self._entity,
            operation=self._operation,
            match_key=self._match_key,
            mappings=tuple(ColumnMapping(name, self._fields[name]) for name in staged.columns),
        )
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"{self.stream_name}-{stamp}-{self._jobs:04d}.csv"
        self.logger.info(
            "Sending %d rows (%d bytes) to %s as %s", staged.rows, staged.size, self._entity, name
        )
        task = ImportTask(self._api, request, staged, name, self.stream_name)
        job = self._life.run(task)
        self.logger.info("Demandbase took all %d rows in job %s", staged.rows, job.id)
