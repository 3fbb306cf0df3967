"""The setting ``batch_config``: whether rows go out as files, and where these go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig

from demandbase_api.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ROWS = 100_000

_ENCODING = th.ObjectType(
    th.Property(
        "format",
        th.StringType,
        allowed_values=["jsonl", "parquet"],
        description="Format of the files; jsonl where absent.",
    ),
    th.Property(
        "compression",
        th.StringType,
        allowed_values=["gzip", "none"],
        description="gzip where absent for jsonl, zstd within the file for parquet.",
    ),
    additional_properties=False,
)
_STORAGE = th.ObjectType(
    th.Property(
        "root",
        th.StringType(min_length=1),
        required=True,
        description="A folder, or an address such as s3://bucket/folder.",
    ),
    th.Property("prefix", th.StringType, description="What the files' names begin with."),
    th.Property(
        "params",
        th.ObjectType(additional_properties=True),
        description="Arguments of the file system (fsspec) behind the address.",
    ),
    additional_properties=False,
)
BATCH_CONFIG = th.Property(
    "batch_config",
    th.ObjectType(
        th.Property("encoding", _ENCODING, description="How the files are written."),
        th.Property("storage", _STORAGE, required=True, description="Where the files go."),
        th.Property(
            "batch_size",
            th.IntegerType(minimum=1),
            description=f"Rows in one file at most; {DEFAULT_ROWS} where absent.",
        ),
        additional_properties=False,
    ),
    title="Batch files",
    description="Send the entities' rows as files of BATCH messages, not as RECORD messages.",
)


def announced(config: BatchConfig) -> BaseBatchFileEncoding:
    """Return what BATCH messages say of the files.

    Where nothing is set, jsonl is packed by gzip, as the SDK has it; Parquet tells of zstd itself.

    Args:
        config: The setting, complete.
    """
    wanted = config.encoding
    is_packed = wanted.compression == "gzip" or (
        wanted.compression is None and wanted.format == "jsonl"
    )
    return BaseBatchFileEncoding(wanted.format, "gzip" if is_packed else None)


def batch_config(config: Mapping[str, Any]) -> BatchConfig | None:
    """Return the setting, complete; ``None`` where rows go out as RECORD messages.

    Raises:
        ConfigurationError: Nothing can be stored at its address.
    """
    raw = config.get("batch_config")
    if not raw:
        return None
    encoding = {"format": "jsonl", **(raw.get("encoding") or {})}
    size = raw.get("batch_size") or DEFAULT_ROWS
    complete = BatchConfig.from_dict({**raw, "encoding": encoding, "batch_size": size})
    try:
        complete.storage.get_url("file")
    except ImportError:
        raise ConfigurationError(
            "The address in batch_config.storage.root needs a package that is not installed; for "
            "s3:// that is s3fs: install singer-sdk[s3] beside the tap."
        ) from None
    # Its text may quote what is set, a key among it.
    except (OSError, TypeError, ValueError):
        raise ConfigurationError(
            "Nothing can be stored at batch_config.storage.root: set it to a folder, or to an "
            "address such as s3://bucket/folder."
        ) from None
    return complete
