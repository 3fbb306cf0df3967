"""The command ``catalog``: the tap's catalog as a file to commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from demandbase_cli.errors import CommandError
from demandbase_cli.options import common_options
from demandbase_cli.output import print_json, show

if TYPE_CHECKING:
    from demandbase_cli.settings import Settings


@click.command(short_help="Write the catalog, to select streams in and to commit.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write it to."
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@common_options
def catalog(*, settings: Settings, as_json: bool, output: Path | None, force: bool) -> None:
    """Discover the streams and print the catalog, or write it to a file.

    The streams are sorted by name, so that two catalogs can be compared.
    """
    if output is not None and output.exists() and not force:
        raise CommandError(
            f"The file {output} exists, and may have your selection: give another name, or --force."
        )
    found = settings.tap().catalog_dict
    found = {**found, "streams": sorted(found["streams"], key=lambda it: str(it["tap_stream_id"]))}
    if output is None:
        print_json(found)
        return
    try:
        output.write_text(f"{json.dumps(found, indent=2)}\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"The file {output} cannot be written: {error.strerror or 'the operation failed'}."
        ) from error
    streams = len(found["streams"])
    show(
        {"file": str(output), "streams": streams},
        f"{streams} streams were written to {output}. Select some, and use it with --catalog.",
        as_json=as_json,
    )
