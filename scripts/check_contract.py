"""Compares what the pair and the sandbox send with the documents that Demandbase publishes.

The installed commands run against the sandbox, through a proxy that records every request and
response. Each is validated against the OpenAPI documents in a folder. The project does not have
these documents, so ``make test`` does not run this script.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contract_documents import HOSTS, Difference, Documents, Exchange
from contract_runs import run_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Known(NamedTuple):
    """Differences that are meant.

    Args:
        pattern: Pattern of ``str(difference)``, as for file names.
        reason: Why they are meant.
    """

    pattern: str
    reason: str


KNOWN = (
    Known(
        "uapi: POST /data/export/v1/job: request: the body: members accountIds not published",
        "The published error codes 400-148 to 400-150 require accountIds for buying groups; the "
        "document of the body lacks it.",
    ),
    Known(
        "uapi: GET /data/export/v1/job/{jobId}: response 200: the body: members resultsUrls not "
        "published",
        "A client of Demandbase reads it. The sandbox sends it only with the option results_urls.",
    ),
    Known(
        "uapi: * /data/export/v1/*: response 429: the errorCode 429 is not published",
        "No code is published for a spent limit of calls; the option budget_error_code changes it.",
    ),
    Known(
        "uapi: * /import/v1/*: response 429: Unknown response http status: 429",
        "The published limits say that a call beyond them is HTTP 429; the document of imports has "
        "no such response.",
    ),
    Known(
        "uapi: * /import/v1/activity_type*: response 40[13]: Unknown response http status: 40[13]",
        "All operations need a token and the permission to import; the document leaves these "
        "responses out for the types of activities.",
    ),
    Known(
        "uapi: POST /integration/v1/custom-sources: response 404: Unknown response http status: "
        "404",
        "The sandbox serves only the operations that read custom sources: the pair changes none.",
    ),
    Known(
        "v1: GET *: response 400: Unknown response http status: 400",
        "The document has this response for creations only. The sandbox rejects all parameters "
        "that do not fit their schema.",
    ),
)


class Findings:
    """What the exchanges of all runs show.

    Args:
        documents: The published documents.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.exchanges: Counter[tuple[str, str, int]] = Counter()
        """Exchanges by API, operation and status."""
        self.differences: Counter[Difference] = Counter()
        self.runs: dict[Difference, str] = {}
        """The first run with each difference."""

    def add(self, exchange: Exchange) -> None:
        """Compare an exchange."""
        operation, found = self._documents.differences(exchange)
        self.exchanges[exchange.api, operation, exchange.status] += 1
        for difference in set(found):
            self.differences[difference] += 1
            self.runs.setdefault(difference, exchange.run)


def report(findings: Findings, documents: Documents, known: Sequence[Known]) -> bool:
    """Print what was found; return whether all of it is known, and all that is known was found."""
    for api, published in documents.operations().items():
        if not published:
            continue
        seen = {name for it, name, _ in findings.exchanges if it == api}
        number = sum(n for (it, _, _), n in findings.exchanges.items() if it == api)
        print(f"{api}: {number} exchanges with {len(seen & {*published})} of "
              f"{len(published)} published operations")  # fmt: skip
        for name in published:
            statuses = [
                f"{count} with {status}"
                for (it, operation, status), count in sorted(findings.exchanges.items())
                if (it, operation) == (api, name)
            ]
            print(f"  {name}: {', '.join(statuses) or 'never'}")
    used: set[Known] = set()
    unknown = []
    for difference, count in sorted(findings.differences.items()):
        match = next((each for each in known if fnmatchcase(str(difference), each.pattern)), None)
        if match is None:
            unknown.append(
                f"  {difference} ({count} times, first in “{findings.runs[difference]}”)"
            )
        else:
            used.add(match)
    for each in known:
        if each in used:
            print(f"Known: {each.pattern}\n    {each.reason}")
    stale = [f"  {each.pattern}" for each in known if each not in used]
    for title, lines in (("Differences that nothing explains:", unknown),
                         ("Known differences that no longer exist:", stale)):  # fmt: skip
        if lines:
            print("\n".join((title, *lines)))
    return not unknown and not stale


def main(
    arguments: Sequence[str],
    known: Sequence[Known] = KNOWN,
    runs: Callable[[Documents, Callable[[Exchange], None]], None] = run_all,
) -> int:
    """Compare everything; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with the published documents")
    folder = parser.parse_args(arguments).folder
    try:
        documents = Documents.read(folder)
        apis = [api for api, published in documents.operations().items() if published]
    except (OSError, ValueError) as error:
        parser.error(f"{folder}: {error}")
    if missing := [api for api in HOSTS if api not in apis]:
        print(f"No document describes {', '.join(missing)}, whose exchanges are not compared.")
    # The sandbox reads odd files here, whose oddities are no news.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    findings = Findings(documents)
    runs(documents, lambda exchange: findings.add(exchange) if exchange.api in apis else None)
    return 0 if report(findings, documents, known) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
