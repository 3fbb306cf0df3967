"""The Singer target."""

from __future__ import annotations

import os
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar

from singer_sdk import Target, exceptions
from singer_sdk.exceptions import RecordsWithoutSchemaException
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from typing_extensions import override

from demandbase_api.clock import Clock, SystemClock
from demandbase_api.config import api_files, chosen_api, spool_folder, state
from demandbase_api.connect import connect
from demandbase_api.errors import DemandbaseError
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.process import signals_ignored, terminate
from demandbase_api.run_report import RunFacts
from demandbase_api.settings_check import (
    UNUSED_SDK_SETTINGS,
    check_not_unread,
    environment_settings,
    settings_errors,
    unread_variables,
    warn_variables,
    without_foreign,
)
from demandbase_api.settings_values import as_declared
from target_demandbase import config
from target_demandbase.batch_files import read_batch
from target_demandbase.config import check_abilities, check_entities, check_labels
from target_demandbase.errors import (
    InputError,
    MappingError,
    PlanError,
    RoutingError,
    sdk_sentence,
)
from target_demandbase.loader import Loader
from target_demandbase.mapping import StreamSchema
from target_demandbase.reader import SilentReader
from target_demandbase.rejects import check_folder
from target_demandbase.sink import DemandbaseSink, mapping_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from singer_sdk import Sink
    from singer_sdk.mapper import StreamMap

    from demandbase_api.ports import Apis, ImportApi
    from target_demandbase.csv_writer import RowError
    from target_demandbase.reader import Consumed


_INPUT_FAILURES = (
    InputError,
    MappingError,
    PlanError,
    RoutingError,
    RecordsWithoutSchemaException,
    exceptions.MappingError,
)
"""What ends a run though all that came before it can still be delivered."""


TEST_STREAM = "meltano_test_stream"
"""The stream that ``meltano config test target-demandbase`` sends, of one made-up record."""


class TargetDemandbase(Target):
    """Singer target for Demandbase's bulk import API."""

    name = "target-demandbase"
    package_name = "singer-demandbase"
    config_jsonschema: ClassVar = config.CONFIG
    default_sink_class = DemandbaseSink
    message_reader_class = SilentReader
    retry: ClassVar = RetryPolicy()
    """How requests are repeated."""
    clock: Clock = SystemClock()
    """Time, for polling and time-outs."""
    _unread: Mapping[str, str]
    """Environment variables that are not read, by setting."""
    _has_test = False
    """Whether Meltano's test stream has come."""
    original_record: Mapping[str, Any]
    """The record that is being processed, as the tap sent it."""
    capabilities: ClassVar = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
        TargetCapabilities.VALIDATE_RECORDS,
    ]

    @cached_property
    def apis(self) -> Apis:
        """Both ports of the API.

        Raises:
            ConfigurationError: The address or the credentials cannot be used.
        """
        return connect(
            config.connection(self.config, self.retry.on(self.clock)),
            chosen_api(self.config),
            files=api_files(self.config),
            clock=self.clock,
        )

    @cached_property
    def import_api(self) -> ImportApi:
        """The import API.

        Raises:
            ConfigurationError: The settings are invalid, or ask for what the API cannot do.
        """
        api = self.apis.imports
        check_abilities(self.config, api.capabilities)
        check_entities(self.config, api.capabilities.entities)
        check_labels(self.config)
        return api

    @cached_property
    def loader(self) -> Loader:
        """The loader of this run."""
        return Loader(
            self.import_api,
            self.config,
            self.clock,
            self.retry.on(self.clock),
        )

    @property  # type: ignore[misc]
    @override
    def max_parallelism(self) -> int:
        """One: rows of different streams may refer to each other, so their order matters."""
        return 1

    @override
    def get_sink(
        self,
        stream_name: str,
        *,
        record: dict[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
        key_properties: Sequence[str] | None = None,
    ) -> Sink:
        sink = super().get_sink(
            stream_name, record=record, schema=schema, key_properties=key_properties
        )
        # If a stream's schema changes, the SDK keeps the old sink until the next full drain. By
        # then the new sink may have sent newer rows of the same keys.
        while self._sinks_to_clear:
            old = self._sinks_to_clear[0]  # stays there until its rows are queued
            self.drain_one(old)
            old.clean_up()
            self._sinks_to_clear.pop(0)
        return sink

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805
        return environment_settings(
            lambda: super(TargetDemandbase, cls)._env_var_config,
            cls.config_jsonschema,
            cls._env_var_prefix,
        )

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK sets the defaults, but its messages quote values, such as the token.
        settings = as_declared(self._config, self.config_jsonschema)
        self._config = without_foreign(settings, self.name, self.logger)
        given = frozenset(self._config)
        broken = super()._validate_config(raise_errors=False)
        schema, prefix = self.config_jsonschema, self._env_var_prefix
        warn_variables(schema, prefix, given, self.logger)
        self._unread = unread_variables(schema, prefix, os.environ, given)
        validator = DEFAULT_JSONSCHEMA_VALIDATOR(self.config_jsonschema)
        return settings_errors(broken, validator, self.config, raise_errors=raise_errors)

    @override
    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        if self._is_test(message_dict.get("stream")):
            self._has_test = True
            self.check()
            return
        try:
            super()._process_schema_message(message_dict)
        except (MappingError, RoutingError):
            # Asked of the other streams as well, so that one run shows all that is open.
            if not self._has_questions:
                raise

    @property
    def _has_questions(self) -> bool:
        """Whether a stream cannot be imported, so that only other streams' schemas are read."""
        return "loader" in self.__dict__ and self.loader.questions.are_open

    def _is_test(self, stream: object) -> bool:
        return stream == TEST_STREAM and stream not in (self.config.get("entity_map") or {})

    def check(self) -> None:
        """Check the settings, the credentials and what can be imported. Sends only GET requests.

        Raises:
            DemandbaseError: A check failed.
        """
        check_folder(config.rejects_folder(self.config))
        state(self.config).open()
        fields = len(self.import_api.mappings())
        next(iter(self.import_api.jobs()), None)
        self.logger.info(
            "The credentials are valid, %d fields can be imported, and import jobs can be listed. "
            "Nothing was sent.",
            fields,
        )

    @override
    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        self._assert_line_requires(message_dict, requires={"stream", "record"})
        stream, record = message_dict["stream"], message_dict["record"]
        if self._has_test and self._is_test(stream):
            return
        if self._has_questions:
            return
        # Checked before stream maps, which may remove the mark.
        if record.get("_sdc_deleted_at") is not None and stream in self.mapper.stream_maps:
            self.loader.skip_deletion(stream)
            return
        self.original_record = record
        if stream not in self.mapper.stream_maps:
            self._assert_sink_exists(stream)
        # The SDK's own method ends the run if a stream map fails on a record.
        for stream_map in self.mapper.stream_maps[stream]:
            self._process_record(stream_map, dict(record))
        self._handle_max_record_age()

    def _process_record(self, stream_map: StreamMap, record: dict[str, Any]) -> None:
        problem: RowError | None = None
        transformed: dict[str, Any] | None = None
        try:
            transformed = stream_map.transform(record)
        except Exception as error:  # noqa: BLE001 - of any kind, and it may quote the record
            problem = mapping_error(error)
        if problem is None and transformed is None:
            return  # filtered out
        self._assert_sink_exists(stream_map.stream_alias)
        sink = self.get_sink(stream_map.stream_alias, record=transformed)
        assert isinstance(sink, DemandbaseSink)  # noqa: S101 - the only class of sinks
        sink.process(transformed or {}, problem)
        if sink.is_full:
            self.drain_one(sink)

    def source_of(self, alias: str) -> StreamSchema:
        """Return the stream, as the tap sent it, of a stream after stream maps."""
        for name, maps in self.mapper.stream_maps.items():
            for each in maps:
                if each.stream_alias == alias:
                    return StreamSchema(name, each.raw_schema, tuple(each.raw_key_properties or ()))
        raise KeyError(alias)

    @override
    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        # The SDK emits the latest state when it drains; here each state waits for its own rows.
        self._assert_line_requires(message_dict, requires={"value"})
        if self._is_only_test or self._has_questions:
            return
        self.loader.state(message_dict["value"])

    @override
    def _handle_max_record_age(self) -> None:
        # Called for each record. The SDK's own method counts the duration of jobs as age.
        if self._is_only_test:
            return
        if self._has_questions:
            if self.loader.questions.is_time_up:
                raise self.loader.questions.error()
            return
        self.loader.poll()
        for sink in self._sinks_active.values():
            if isinstance(sink, DemandbaseSink) and sink.is_old:
                self.drain_one(sink)

    def _after_block(self) -> None:
        self._handle_max_record_age()
        if "loader" in self.__dict__:
            self.loader.sample()

    def _sink_of_lines(self, stream: str) -> DemandbaseSink | None:
        """Return the sink that processes a stream's records as lines, if it can."""
        if self._has_questions:
            return None
        maps = self.mapper.stream_maps.get(stream, [])
        if len(maps) != 1 or type(maps[0]) is not SameRecordTransform or maps[0].flattening_enabled:
            return None  # the SDK does stream maps and flattening
        sink = self._sinks_active.get(maps[0].stream_alias)
        return sink if isinstance(sink, DemandbaseSink) and sink.accepts_lines else None

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        # The SDK's own method reads whole files into memory and skips all checks of records.
        self._assert_line_requires(message_dict, requires={"stream", "encoding", "manifest"})
        if self._has_questions:
            return
        stream = message_dict["stream"]

        def offer(lines: bytes) -> Consumed | None:
            sink = self._sink_of_lines(stream)
            return None if sink is None else sink.process_record_lines(lines)

        read_batch(
            message_dict,
            spool_folder(self.config),
            offer,
            self._process_record_message,
            self._after_block,
        )

    @override
    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        self.loader.warn_of_deletions()

    @override
    def process_endofpipe(self) -> None:
        if self._has_questions:
            raise self.loader.questions.error()
        super().process_endofpipe()
        if not self._is_only_test:
            if not self.mapper.stream_maps:
                self.logger.warning(
                    "The input has no stream, and nothing is imported: select a stream in the tap."
                )
            self.loader.finish()

    @property
    def _is_only_test(self) -> bool:
        """Whether nothing but Meltano's test stream has come: there is no run to report."""
        return self._has_test and "loader" not in self.__dict__

    @override  # type: ignore[misc]
    def listen(self, file_input: IO[str] | None = None) -> None:
        # Final in the SDK, which has no hook around a run: jobs and files must not outlive it.
        if isinstance(self.message_reader, SilentReader):
            self.message_reader.idle = self._after_block
            self.message_reader.sink_of = self._sink_of_lines
        check_not_unread("dry_run", self._unread, "without a dry run, the rows are sent")
        _ = self.import_api  # invalid settings show before anything is read
        failure: BaseException | None = None
        try:
            self._listen(file_input)
        except BaseException as error:
            failure = error
            raise
        finally:
            if "loader" in self.__dict__:
                with signals_ignored():
                    self.loader.close(RunFacts.of(self, failure, sdk_sentence(failure)))

    def _listen(self, file_input: IO[str] | None) -> None:
        """Process the input; if it fails, deliver what precedes its last state before the error."""
        try:
            super().listen(file_input)
        except _INPUT_FAILURES:
            if "loader" in self.__dict__:
                self._deliver_states()
            raise

    def _deliver_states(self) -> None:
        try:
            self.loader.deliver_states()
        except DemandbaseError as error:
            self.logger.error("What precedes the last state was not delivered: %s", error)  # noqa: TRY400

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK's own method sends all staged rows, emits the state and ends with 0.
        terminate(signum, self.logger)

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        super().append_builtin_config(config_jsonschema)
        for name in UNUSED_SDK_SETTINGS:
            config_jsonschema["properties"].pop(name, None)
