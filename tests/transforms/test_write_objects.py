"""Putting an object: whole or not at all, and patient while object storage is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Forbidden, PreconditionFailed, RetryError, ServiceUnavailable

from transforms import write_objects
from transforms.write_objects import OUTAGE_S, write_object


class FakeStorage:
    """Fails with each of `errors` in turn, then stores. Time passes when somebody sleeps."""

    def __init__(self, errors: list[Exception], forever: Exception | None = None) -> None:
        self.errors = errors
        self.forever = forever
        self.stored: dict[str, bytes] = {}
        self.slept_s = 0.0
        self.client = SimpleNamespace(bucket=lambda bucket: SimpleNamespace(blob=self._blob(bucket)))

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds

    def _blob(self, bucket: str) -> Any:
        def put(name: str, data: bytes) -> None:
            if self.forever is not None:
                raise self.forever
            if self.errors:
                raise self.errors.pop(0)
            self.stored[f"{bucket}/{name}"] = data

        return lambda name: SimpleNamespace(upload_from_string=lambda data, *_, **__: put(name, data))


def _use(storage: FakeStorage, patch: pytest.MonkeyPatch) -> FakeStorage:
    patch.setattr(write_objects, "_gcs", lambda _: storage)
    clock = SimpleNamespace(monotonic=lambda: storage.slept_s, sleep=storage.sleep)
    patch.setattr("google.api_core.retry.retry_unary.time", clock)
    patch.setattr("google.api_core.retry.retry_base.time", clock)
    return storage


def test_a_service_that_comes_back_gets_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [requests.ConnectionError("refused"), requests.ReadTimeout("silent"), ServiceUnavailable("503")]
    storage = _use(FakeStorage(away), monkeypatch)
    write_object("gs://bucket/a/b.avro", b"x")
    assert storage.stored == {"bucket/a/b.avro": b"x"}
    assert storage.slept_s > 0


def test_patience_ends_before_the_lease_of_the_messages_does(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = _use(FakeStorage([], forever=requests.ConnectionError("refused")), monkeypatch)
    with pytest.raises(RetryError):
        write_object("gs://bucket/a/b.avro", b"x")
    assert 0.9 * OUTAGE_S < storage.slept_s <= OUTAGE_S


def test_a_refusal_is_not_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = _use(FakeStorage([], forever=Forbidden("no right to write")), monkeypatch)
    with pytest.raises(Forbidden):
        write_object("gs://bucket/a/b.avro", b"x")
    assert storage.slept_s == 0


def test_a_client_is_made_for_each_endpoint_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that goes on with another stand-in, as a test run does, must not write to the one before."""
    made: list[FakeStorage] = []

    def make() -> FakeStorage:
        made.append(FakeStorage([]))
        return made[-1]

    write_objects._gcs.cache_clear()
    monkeypatch.setattr(write_objects, "GcsIO", make)
    for name, port in (("a", 1), ("b", 1), ("c", 2)):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        write_object(f"gs://bucket/{name}", b"x")
    assert [list(storage.stored) for storage in made] == [["bucket/a", "bucket/b"], ["bucket/c"]]
    write_objects._gcs.cache_clear()


def test_of_many_who_write_a_new_file_at_once_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "manifest"

    def write(number: int) -> int:
        try:
            write_object(str(path), b"%d" % number, only_new=True)
        except FileExistsError:
            return 0
        return number

    with ThreadPoolExecutor(16) as pool:
        won = [number for number in pool.map(write, range(1, 101)) if number]
    assert len(won) == 1
    assert path.read_bytes() == b"%d" % won[0]
    assert list(path.parent.iterdir()) == [path]


class Preconditions:
    """Object storage that keeps `ifGenerationMatch=0`, as its documentation says; the stand-in ignores it."""

    def __init__(self, lost_answers: int = 0) -> None:
        self.stored: dict[str, bytes] = {}
        self.lost_answers = lost_answers
        self.client = SimpleNamespace(bucket=lambda _: SimpleNamespace(blob=self._blob))

    def _blob(self, name: str) -> Any:
        def put(data: bytes, *_: Any, if_generation_match: int | None = None, **__: Any) -> None:
            if if_generation_match == 0 and name in self.stored:
                raise PreconditionFailed("412")
            self.stored[name] = data
            if self.lost_answers:
                self.lost_answers -= 1
                raise requests.ConnectionError("the answer was lost")

        return SimpleNamespace(upload_from_string=put, download_as_bytes=lambda: self.stored[name])


def _with_preconditions(storage: Preconditions, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(write_objects, "_gcs", lambda _: storage)
    patch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda _: None)


def test_the_second_to_write_a_new_object_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Preconditions()
    _with_preconditions(storage, monkeypatch)
    write_object("gs://bucket/m", b"first", only_new=True)
    with pytest.raises(FileExistsError):
        write_object("gs://bucket/m", b"second", only_new=True)
    assert storage.stored == {"m": b"first"}


def test_a_new_object_whose_answer_was_lost_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Preconditions(lost_answers=1)
    _with_preconditions(storage, monkeypatch)
    write_object("gs://bucket/m", b"first", only_new=True)
    assert storage.stored == {"m": b"first"}
