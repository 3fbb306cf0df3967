"""What is remembered of a tenant's API from run to run, and where."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demandbase_api.connection import Connection

_FOLDER = "singer-demandbase"


@dataclass(frozen=True, slots=True)
class ApiFiles:
    """What of an API is remembered from run to run.

    Args:
        folder: Where; a folder in the system's temporary one where absent.
        cache_hours: How long what was discovered is good for.
    """

    folder: Path | None = None
    cache_hours: float = 24

    def of(self, connection: Connection, kind: str) -> Path:
        """Return the file of one kind for a tenant; its name tells nothing of the credentials."""
        who = connection.client_id or connection.access_token or ""
        digest = hashlib.blake2b(f"{connection.api_url} {who}".encode(), digest_size=8).hexdigest()
        folder = self.folder or Path(tempfile.gettempdir()) / _FOLDER
        return folder / f"demandbase-{kind}-{digest}.json"
