"""Rejected rows as they come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def replayed(folder: Path, wrong: str = "", right: str = "") -> list[dict[str, Any]]:
    """Return the messages of the dead letters in a folder, corrected."""
    [path] = folder.glob("rejects-*.jsonl")
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.replace(wrong or "\0", right).splitlines()]
