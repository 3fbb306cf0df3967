"""The start of the command ``demandbase-sandbox``, which names the extra if it is missing."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from urllib.parse import unquote, urlsplit

_PRODUCT = "singer-demandbase"


def main() -> None:
    """Run the command, or say what to install."""
    try:
        from demandbase_sandbox.cli import main as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == __name__.partition(".")[0]:
            raise
        sys.exit(
            f"demandbase-sandbox needs the package {missing}, which the extra sandbox brings: run "
            f"“pip install '{_source()}[sandbox]'”."
        )
    run()


def _source() -> str:
    """Return the clone or the wheel that this product was installed from, or else its name."""
    try:
        origin = json.loads(metadata.distribution(_PRODUCT).read_text("direct_url.json") or "{}")
    except (ValueError, metadata.PackageNotFoundError):
        return _PRODUCT
    address = urlsplit(str(origin.get("url") or ""))
    return unquote(address.path) if address.scheme == "file" else _PRODUCT
