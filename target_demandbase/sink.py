"""A stream on its way to an entity: rows are staged as CSV and sent as import jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import InvalidJSONSchema, InvalidRecord
from singer_sdk.sinks import BatchSink
from typing_extensions import override

from demandbase_api.job_life import JobLife
from demandbase_api.models import ColumnMapping, ImportOperation, ImportRequest
from target_demandbase import settings
from target_demandbase.column_groups import ColumnGroups
from target_demandbase.columns import METADATA_PREFIX, plan_columns
from target_demandbase.encode import encode_cell
from target_demandbase.errors import InputError, MappingError
from target_demandbase.import_task import ImportTask
from target_demandbase.routing import entity_for
from target_demandbase.schema_check import is_date_time
from target_demandbase.staging import encode_row
from target_demandbase.validation import SilentValidator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.sinks.core import BaseJSONSchemaValidator

    from target_demandbase.staging import StagedFile
    from target_demandbase.target import TargetDemandbase

# Names in records can be data in disguise, and endless.
_MAX_NAMES_WARNED = 100


class DemandbaseSink(BatchSink):
    """Stages a stream's rows and sends them as import jobs."""

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
        self._groups = ColumnGroups(
            stream_name, settings.spool_folder(self.config), self.config["max_file_bytes"]
        )
        self._max_rows: int = self.config["batch_size_rows"]
        self._operation = ImportOperation(self.config["operation"])
        self._jobs = 0
        properties: dict[str, Any] = schema["properties"]
        self._date_times = {name for name, rule in properties.items() if is_date_time(rule)}
        self._known_names = set(properties)
        self._names_warned = 0

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
            match_key=(self.config.get("match_keys") or {}).get(self._entity),
            key_properties=self.key_properties,
        )
        self._fields = plan.fields
        self._match_key = plan.match_key
        self._key_column = next(
            (column for column, field in plan.fields.items() if field == plan.match_key), None
        )
        unused = [column for column in renamed if column not in self.schema["properties"]]
        if unused:
            self.logger.warning(
                "field_mappings.%s names columns that stream %s does not have: %s",
                self._entity,
                self.stream_name,
                ", ".join(unused),
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
        return self._groups.rows >= self._max_rows

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        columns = tuple(column for column in self._fields if column in record)
        cells = self._encode(record, columns)
        row = encode_row(list(cells.values()))
        key = cells.get(self._key_column, "") if self._key_column else ""
        if not self._groups.takes(columns, row, key):
            self._send_all()
        self._groups.add(columns, row, key)
        if not record.keys() <= self._known_names:
            self._warn_of_names(record)

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        self._send_all()

    @override
    def clean_up(self) -> None:
        super().clean_up()
        self._groups.close()

    def _warn_of_names(self, record: dict[str, Any]) -> None:
        """Warn once of each property that the schema does not have."""
        for name in record.keys() - self._known_names:
            self._known_names.add(name)
            if name.startswith(METADATA_PREFIX):
                continue
            self._names_warned += 1
            if self._names_warned <= _MAX_NAMES_WARNED:
                self.logger.warning(
                    "Records of stream %s have a property %s that their schema lacks; "
                    "it is not sent.",
                    self.stream_name,
                    name,
                )

    def _encode(self, record: dict[str, Any], columns: tuple[str, ...]) -> dict[str, str]:
        cells = {}
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
            cells[column] = cell
        return cells

    def _send_all(self) -> None:
        """Send each staged file as a job of its own, in the order of their first rows."""
        staged_files = self._groups.take()
        try:
            for staged in staged_files:
                self._send(staged)
        finally:
            for staged in staged_files:
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
