"""Checks records against their schema without ever showing a value."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from jsonschema import ValidationError
from singer_sdk.exceptions import InvalidRecord
from singer_sdk.sinks.core import JSONSchemaValidator
from typing_extensions import override


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
