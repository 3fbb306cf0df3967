"""What of the SDK is replaced or passed by here: where it changes, ours must be looked at."""

from __future__ import annotations

import hashlib
import inspect

import pytest
from singer_sdk import Target
from singer_sdk.singerlib.encoding import GenericSingerReader


@pytest.mark.parametrize(
    ("owner", "method", "digest"),
    [
        (GenericSingerReader, "process_lines", "f6d848854616d1d8"),  # reader.py
        (Target, "_process_record_message", "08aaf4096e2d39e7"),  # target.py; sink.py, process
        (Target, "_process_state_message", "e27158e2b1e7ea6d"),  # target.py, as the next two
        (Target, "_process_batch_message", "f26fbe519745daf2"),
        (Target, "_handle_max_record_age", "5762750ab1035404"),
    ],
)
def test_the_sdks_own_is_what_ours_was_made_for(owner: type, method: str, digest: str) -> None:
    source = inspect.getsource(getattr(owner, method))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == digest
