"""A folder and a bucket keep objects alike."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import AlreadyExistsError, GenericError, PermissionDeniedError
from obstore.store import MemoryStore
from typing_extensions import override

from demandbase_api.config import state
from demandbase_api.errors import ConfigurationError, StateError
from demandbase_api.state.bucket import StateBucket, checked_url
from demandbase_api.state.folder_store import FolderLocks, FolderStore
from demandbase_api.state.leases import LeaseLocks
from demandbase_api.state.objects import (
    BucketObjects,
    ObjectStore,
    bucket_objects,
    open_bucket,
)
from demandbase_api.state.ports import Locks, StateStore
from tests.api.fake_objects import FakeObjects
from tests.examples import examples
from tests.s3_server import BUCKET, CREDENTIALS, s3_server

Place = Callable[[], StateStore]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as server, pytest.MonkeyPatch.context() as environment:
        for name, value in server.variables.items():
            environment.setenv(name, value)
        yield server.address


def memory_store() -> StateStore:
    return ObjectStore(BucketObjects(MemoryStore(), "memory://bucket", "tenant/kind/"))


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Returns the store as each of several runs opens it."""
    match request.param:
        case "folder":
            return lambda: FolderStore(tmp_path / "kind")
        case "memory":
            store = memory_store()
            return lambda: store
        case _:
            address = request.getfixturevalue("s3")
            url = f"s3://{BUCKET}/{tmp_path.name}"
            return lambda: ObjectStore(open_bucket(url, address).below("kind"))


def test_what_a_run_writes_is_there_for_the_next(place: Place) -> None:
    assert place().get("a.json") is None
    assert place().items() == []
    place().put("a.json", b"one", durable=True)
    place().put("b.json", b"")
    place().put("a.json", b"two")
    assert place().get("a.json") == b"two"
    assert place().get("b.json") == b""
    assert [item.name for item in place().items()] == ["a.json", "b.json"]
    assert [item.name for item in place().items("a.")] == ["a.json"]
    place().delete("a.json")
    place().delete("a.json")
    assert [item.name for item in place().items()] == ["b.json"]
    assert place().location("b.json").endswith("kind/b.json")
    place().close()
    assert place().get("b.json") == b""


def test_an_object_has_the_time_at_which_it_was_written(place: Place) -> None:
    place().put("a.json", b"one")
    [item] = place().items()
    assert abs(datetime.now(UTC) - item.written_at) < timedelta(minutes=1)


def test_a_large_file_is_copied_opened_and_renamed(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(bytes(range(256)) * 30_000)  # more than a bucket takes in one piece
    place().copy_in(file, "rows.jsonl")
    [item] = place().items()
    assert item.size == file.stat().st_size
    place().rename("rows.jsonl", "replayed.jsonl")
    with place().open("replayed.jsonl") as copy:
        assert copy.read() == file.read_bytes()
    with pytest.raises(StateError):
        place().open("rows.jsonl")
    with pytest.raises(StateError):
        place().rename("rows.jsonl", "other.jsonl")


def test_an_update_sees_the_content_and_may_change_nothing(place: Place) -> None:
    seen: list[bytes | None] = []

    def change(content: bytes | None) -> bytes | None:
        seen.append(content)
        return None if content == b"xx" else (content or b"") + b"x"

    for _ in range(4):
        place().update("count", change)
    assert seen == [None, b"x", b"xx", b"xx"]
    assert place().get("count") == b"xx"


def test_no_update_is_lost(place: Place) -> None:
    def count(_: int) -> None:
        place().update("count", lambda content: str(int(content or b"0") + 1).encode())

    place()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(count, range(30)))
    assert place().get("count") == b"30"


def test_an_update_that_fails_leaves_the_object_to_others(place: Place) -> None:
    def fail(_: bytes | None) -> bytes:
        raise KeyError

    with pytest.raises(KeyError):
        place().update("a", fail)
    place().update("a", lambda _: b"1")
    assert place().get("a") == b"1"


def append(more: bytes, old: bytes | None) -> bytes:
    return (old or b"") + more


NAMES = st.sampled_from(["a.json", "a-2.json", "ab.json", "b c.json", "é.json"])
STEP = st.one_of(
    st.tuples(st.just("put"), NAMES, st.binary(max_size=9)),
    st.tuples(st.just("update"), NAMES, st.binary(max_size=9)),
    st.tuples(st.just("delete"), NAMES, st.just(b"")),
)


@pytest.mark.parametrize("kind", ["folder", "memory"])
@examples(100)
@given(steps=st.lists(STEP, max_size=12))
def test_a_store_is_a_dictionary(kind: str, steps: list[tuple[str, str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder, "kind")) if kind == "folder" else memory_store()
        model: dict[str, bytes] = {}
        for step, name, content in steps:
            match step:
                case "put":
                    store.put(name, content)
                    model[name] = content
                case "update":
                    store.update(name, partial(append, content))
                    model[name] = model.get(name, b"") + content
                case _:
                    store.delete(name)
                    model.pop(name, None)
            found = [item.name for item in store.items() if not item.name.endswith(".lock")]
            assert found == sorted(model)
            assert {name: store.get(name) for name in found} == model


@pytest.fixture(params=["folder", "bucket"])
def locks(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Locks]:
    """Returns the locks of a run."""
    if request.param == "folder":
        return lambda run: FolderLocks(tmp_path / "kind", run)
    objects = FakeObjects()
    return lambda run: LeaseLocks(objects, run, objects.clock, beat_seconds=None)


def test_one_run_at_a_time_has_a_lock(locks: Callable[[str], Locks]) -> None:
    first, second = locks("r1"), locks("r2")
    assert first.acquire("x.lock")
    assert not second.acquire("x.lock")
    assert second.acquire("y.lock")
    second.release("x.lock")  # it is not its own
    assert not second.acquire("x.lock")
    first.release("x.lock")
    assert second.acquire("x.lock")
    second.close()
    assert first.acquire("x.lock")
    assert first.acquire("y.lock")
    first.close()
    assert locks("r3").acquire("x.lock")


def test_a_run_is_live_from_its_show_to_its_end(locks: Callable[[str], Locks]) -> None:
    first, second = locks("r1"), locks("r2")
    assert not second.is_live("r1")
    first.show()
    first.show()
    assert second.is_live("r1")
    assert not first.is_live("r1")  # as another run
    first.check()
    first.close()
    assert not second.is_live("r1")
    first.close()
    first.show()
    assert second.is_live("r1")


class Responding(BaseHTTPRequestHandler):
    """A bucket that rejects writes. A subclass has the response."""

    status = 403
    code = "AccessDenied"
    left = 1_000_000
    """How many are rejected; from then on they succeed."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = type(self)
        is_rejected = kind.left > 0
        kind.left -= 1
        body = f"<Error><Code>{self.code}</Code><Message>secret</Message></Error>".encode()
        self.send_response(self.status if is_rejected else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body) if is_rejected else 0))
        self.end_headers()
        self.wfile.write(body if is_rejected else b"")

    @override
    def log_message(self, format: str, *_: object) -> None:
        pass


@contextmanager
def responding(**members: Any) -> Iterator[str]:  # noqa: ANN401
    """Serve a bucket that rejects writes; yield its address."""
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Responding,), members))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class TestBucket:
    """Only with a bucket."""

    pytestmark = pytest.mark.slow

    def test_a_bucket_is_checked_and_leaves_nothing(self, s3: str) -> None:
        objects = open_bucket(f"s3://{BUCKET}/checked", s3)
        assert objects.items() == []
        assert abs(datetime.now(UTC) - objects.now()) < timedelta(seconds=5)

    def test_tenants_and_kinds_are_apart(self, s3: str, tmp_path: Path) -> None:
        assert s3
        url = f"s3://{BUCKET}/{tmp_path.name}"
        one, other = StateBucket(url, "t1"), StateBucket(url, "t2")
        one.store().put("calls.json", b"1")
        assert other.store().get("calls.json") is None
        assert one.store().location("calls.json") == f"{url}/t1/calls.json"

    def test_a_bucket_that_does_not_exist_is_one_sentence(self, s3: str) -> None:
        with pytest.raises(StateError) as caught:
            open_bucket("s3://no-such-bucket/state", s3)
        assert str(caught.value) == (
            "Cannot use s3://no-such-bucket/state, the state_dir: there is no such bucket. Create "
            "it, or correct the setting state_dir."
        )

    def test_missing_rights_are_one_sentence(self, s3: str) -> None:
        assert s3
        with responding() as address, pytest.raises(StateError) as caught:
            open_bucket(f"s3://{BUCKET}/state", address)
        assert str(caught.value) == (
            f"Cannot use s3://{BUCKET}/state, the state_dir: access was denied (AccessDenied). The "
            "credentials must be valid, and must allow to list the bucket, and to read, write and "
            "delete objects."
        )

    def test_a_bucket_may_fail_for_some_seconds(self, s3: str) -> None:
        assert s3
        with responding(status=503, code="SlowDown", left=6) as address:
            bucket_objects(f"s3://{BUCKET}/state", address).put("a", b"1")

    def test_a_server_that_is_down_is_one_sentence(self, s3: str) -> None:
        assert s3
        with pytest.raises(StateError, match="it cannot be reached") as caught:
            open_bucket(f"s3://{BUCKET}/state", "http://127.0.0.1:9")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("missing", [list(CREDENTIALS), ["AWS_SECRET_ACCESS_KEY"]])
    def test_without_credentials_the_sentence_names_the_variables(
        self, s3: str, missing: list[str]
    ) -> None:
        assert s3
        with pytest.MonkeyPatch.context() as environment:
            for name in missing:
                environment.delenv(name)
            environment.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
            with pytest.raises(StateError, match=r"no credentials.*Set AWS_ACCESS_KEY_ID"):
                open_bucket(f"s3://{BUCKET}/state", os.environ["AWS_ENDPOINT_URL"])


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (PermissionDeniedError("<Code>SignatureDoesNotMatch</Code>"), r"denied \(SignatureDoes"),
        (GenericError("list: <Code>AccessDenied</Code>"), r"denied \(AccessDenied\)"),
        (GenericError("<Code>ExpiredToken</Code>"), r"denied \(ExpiredToken\)"),
        (GenericError("<Code>AuthorizationHeaderMalformed</Code>"), "Set AWS_REGION to"),
        (GenericError("Received redirect without LOCATION"), "Set AWS_REGION to"),
        (PermissionDeniedError("<Code>RequestTimeTooSkewed</Code>"), "clock of this machine"),
        (GenericError("<Code>NotImplemented</Code>"), "Use a store that supports conditional"),
        (NotImplementedError(), "Use a store that supports conditional"),
        (GenericError("<Code>XMinioStorageFull</Code>"), r"reached \(XMinioStorageFull\)"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    import obstore  # noqa: PLC0415

    def fail(*_: object, **__: object) -> None:
        raise error

    objects = BucketObjects(MemoryStore(), "s3://bucket")
    monkeypatch.setattr(obstore, "list", fail)
    with pytest.raises(StateError, match=problem) as caught:
        objects.checked()
    assert "<" not in str(caught.value)
    monkeypatch.undo()
    assert objects.items() == []  # the object of the check is removed all the same


def test_the_check_does_not_list_all_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore  # noqa: PLC0415

    def pages(*_: object) -> Iterator[list[object]]:
        yield []
        raise AssertionError("a second page was asked for")

    monkeypatch.setattr(obstore, "list", pages)
    BucketObjects(MemoryStore(), "s3://bucket").checked()


def test_a_large_file_is_read_and_written_in_small_requests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each has a time limit, which a slow line must be able to keep."""
    import obstore  # noqa: PLC0415

    size, at_once = 11 << 20, 10 << 20
    put, get_range, lengths = obstore.put, obstore.get_range, []

    def put_slowly(*arguments: Any, **options: Any) -> object:  # noqa: ANN401
        assert options["chunk_size"] * options["max_concurrency"] <= at_once
        return put(*arguments, **options)

    def get_slowly(*arguments: Any, **options: Any) -> object:  # noqa: ANN401
        lengths.append(options["length"])
        return get_range(*arguments, **options)

    file = tmp_path / "rows"
    file.write_bytes(os.urandom(size))
    objects = BucketObjects(MemoryStore(), "s3://bucket")
    monkeypatch.setattr(obstore, "put", put_slowly)
    monkeypatch.setattr(obstore, "get_range", get_slowly)
    objects.copy_in(file, "rows")
    with objects.open("rows") as copy:
        assert copy.read() == file.read_bytes()
    assert max(lengths) <= at_once
    assert len(lengths) > 1


def test_a_creation_that_meets_a_removal_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 rejects the first of two such requests as a conflict, though the object is not there."""
    import obstore  # noqa: PLC0415

    objects, real, conflicts = BucketObjects(MemoryStore(), "s3://bucket"), obstore.put, [1]

    def put(*arguments: Any, **options: Any) -> object:  # noqa: ANN401
        if conflicts:
            conflicts.pop()
            raise AlreadyExistsError("<Code>ConditionalRequestConflict</Code>")
        return real(*arguments, **options)

    monkeypatch.setattr(obstore, "put", put)
    assert objects.create("a", b"1") is not None
    assert objects.create("a", b"2") is None


def test_a_store_without_conditional_writes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = BucketObjects(MemoryStore(), "s3://bucket")
    objects.checked()
    real = BucketObjects._put_if  # noqa: SLF001

    def put(self: BucketObjects, name: str, content: bytes, _: object) -> str | None:
        self.delete(name)
        return real(self, name, content, "create")

    monkeypatch.setattr(BucketObjects, "_put_if", put)
    with pytest.raises(StateError, match="ignores the conditions of a write"):
        objects.checked()


def test_the_winner_of_a_repeated_request_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose response is lost is repeated, and then meets its own work."""
    import obstore  # noqa: PLC0415

    objects, real = BucketObjects(MemoryStore(), "s3://bucket"), obstore.put

    def put(*arguments: Any, **options: Any) -> object:  # noqa: ANN401
        real(*arguments, **options)
        return real(*arguments, **options)

    monkeypatch.setattr(obstore, "put", put)
    version = objects.create("a", b"1")
    assert version is not None
    assert objects.replace("a", b"2", version) is not None
    assert objects.replace("a", b"2", version) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gs://bucket/x", "begins with s3://"),
        ("s3:///x", "no bucket"),
        ("s3://key:secret@bucket/x", "bucket and a prefix only"),
        ("s3://bucket/x?secret=1", "bucket and a prefix only"),
        ("s3://[bucket", "cannot be parsed"),
        ("s3:/bucket/secret", "begins with s3://"),
        ("s3:bucket", "begins with s3://"),
        ("s3://buc ket/x", "no name of a bucket"),
        ("s3://bucket:80/x", "no name of a bucket"),
        ("s3://bucket/a//b", "its prefix has"),
        ("s3://bucket/../b", "its prefix has"),
        ("s3://bucket/a\nb", "its prefix has"),
        ("s3://bucket/a\0b", "its prefix has"),
    ],
)
def test_a_url_that_cannot_be_used_is_not_shown(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        state({"state_dir": text})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        (" S3://bucket/ ", "s3://bucket"),
        ("s3://bucket/a b/é%20{x}/", "s3://bucket/a b/é%20{x}"),
    ],
)
def test_a_url_is_a_bucket_and_a_prefix_as_they_stand(text: str, url: str) -> None:
    assert checked_url(text) == url


@pytest.mark.parametrize(
    "address",
    [
        "",
        "minio:9000",
        "127.0.0.1",
        "http://",
        "ftp://x/secret",
        "http://key:secret@minio:9000",
        "http://minio:x",
    ],
)
def test_an_address_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL, for the state_dir") as caught:
        StateBucket("s3://bucket/x", "t").store()
    assert "secret" not in str(caught.value)


def test_a_variable_that_cannot_be_used_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "secret")
    with pytest.raises(StateError, match="variable whose name begins with AWS_") as caught:
        open_bucket("s3://bucket/x", None)
    assert "secret" not in str(caught.value)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "demandbase_api.state.objects", None)
    with pytest.raises(ConfigurationError, match=r"Install singer-demandbase\[s3\]"):
        StateBucket("s3://missing-package/x", "t").store()
