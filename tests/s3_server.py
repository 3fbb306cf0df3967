"""A stand-in for S3: moto's server in a process of its own, one request at a time.

moto checks the condition of a write before it writes: two requests at once could both pass.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-bucket",
    "AWS_REGION": "us-east-1",
}
BUCKET = "state-of-runs"


class S3Server:
    """A running server with a bucket.

    Args:
        process: Its process.
        address: Its address.
    """

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process = process
        self.variables = {**CREDENTIALS, "AWS_ENDPOINT_URL": address}
        self.address = address

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start the server."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.s3_server"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")  # noqa: S310
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass
        try:
            yield S3Server(process, address)
        finally:
            process.kill()


Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _one_at_a_time(application: Wsgi) -> Wsgi:
    lock = threading.Lock()

    def serve(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            return list(application(environment, start))

    return serve


def main() -> None:
    import logging  # noqa: PLC0415

    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = _one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)  # noqa: T201 - for the parent
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the parent ends


if __name__ == "__main__":
    main()
