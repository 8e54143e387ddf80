"""Resumable uploads: against the storage stand-in, and against a service that cuts and refuses."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from edge_client.object_store import QUANTUM, CloudStorage, SessionLost, UploadFailed, arrived
from local import emulators
from local.config import Settings
from tests.edge_client.servers import free_port, running

DATA = bytes(range(256)) * (5 * QUANTUM // 512)  # two and a half chunks
MD5 = hashlib.md5(DATA, usedforsecurity=False).digest()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(run_dir=tmp_path_factory.mktemp("gcs"), gcs_port=free_port())
    (settings.data / "gcs").mkdir(parents=True)
    with running(emulators.gcs_command(settings), settings.gcs_port):
        yield settings


@pytest.fixture
def store(stand_in: Settings, monkeypatch: pytest.MonkeyPatch) -> CloudStorage:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{stand_in.address(stand_in.gcs_port)}")
    return CloudStorage(stand_in.bucket, timeout_s=10)


def content(settings: Settings, name: str) -> bytes:
    return (settings.data / "gcs" / ".cloudstorage" / settings.bucket / name).read_bytes()


def chunk(first: int) -> bytes:
    return DATA[first : first + QUANTUM]


@pytest.mark.system
def test_an_upload_in_chunks_arrives_whole(store: CloudStorage, stand_in: Settings) -> None:
    session = store.begin("bulk/h/g/whole.hwb", len(DATA), MD5)
    assert session is not None
    first = store.received(session, len(DATA))
    assert first == 0
    steps = []
    while first < len(DATA):
        first = store.send(session, chunk(first), first, len(DATA))
        steps.append(first)
    assert steps == [QUANTUM, 2 * QUANTUM, len(DATA)]
    assert content(stand_in, "bulk/h/g/whole.hwb") == DATA


@pytest.mark.system
def test_after_an_interruption_only_the_rest_is_sent(store: CloudStorage, stand_in: Settings) -> None:
    session = store.begin("bulk/h/g/resumed.hwb", len(DATA), MD5)
    assert session is not None
    store.send(session, chunk(0), 0, len(DATA))
    again = CloudStorage(stand_in.bucket)  # another process after a kill -9, with the kept address
    first = again.received(session, len(DATA))
    assert first == QUANTUM
    while first < len(DATA):
        first = again.send(session, chunk(first), first, len(DATA))
    assert content(stand_in, "bulk/h/g/resumed.hwb") == DATA


@pytest.mark.system
def test_a_connection_cut_within_a_chunk_loses_nothing(store: CloudStorage, stand_in: Settings) -> None:
    session = store.begin("bulk/h/g/cut.hwb", len(DATA), MD5)
    assert session is not None
    store.send(session, chunk(0), 0, len(DATA))
    host, port = "127.0.0.1", stand_in.gcs_port
    with socket.create_connection((host, port)) as raw:
        path = session.partition(f":{port}")[2]
        head = (
            f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {QUANTUM}\r\n"
            f"Content-Range: bytes {QUANTUM}-{2 * QUANTUM - 1}/{len(DATA)}\r\n\r\n"
        )
        raw.sendall(head.encode() + chunk(QUANTUM)[:1000])
    try:
        first = store.received(session, len(DATA))
        while first < len(DATA):
            first = store.send(session, chunk(first), first, len(DATA))
    except SessionLost:  # the stand-in keeps a torn chunk, the service would not: begin again
        session = store.begin("bulk/h/g/cut.hwb", len(DATA), MD5)
        assert session is not None
        first = 0
        while first < len(DATA):
            first = store.send(session, chunk(first), first, len(DATA))
    assert content(stand_in, "bulk/h/g/cut.hwb") == DATA


@pytest.mark.system
def test_an_unknown_session_is_lost_and_damaged_content_is_refused(store: CloudStorage) -> None:
    session = store.begin("bulk/h/g/other.hwb", len(DATA), MD5)
    assert session is not None
    with pytest.raises(SessionLost, match="404"):
        store.received(session + "x", len(DATA))
    with pytest.raises(SessionLost, match="MD5"):
        store.send(session, bytes(len(DATA)), 0, len(DATA))


class Service(http.server.BaseHTTPRequestHandler):
    """Answers what the test says."""

    answers: ClassVar[list[tuple[int, dict[str, str]]]] = []
    seen: ClassVar[list[tuple[str, str, str | None]]] = []

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.seen.append((self.command, self.path, self.headers.get("Content-Range")))
        status, headers = self.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudStorage]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    Service.answers, Service.seen = [], []
    yield CloudStorage("bucket", timeout_s=5)
    server.shutdown()
    server.server_close()


def session_of(store: CloudStorage) -> str:
    return f"{store._base}/upload/x?upload_id=1"


def test_an_object_that_is_there_already_needs_no_upload(service: CloudStorage) -> None:
    Service.answers = [(412, {})]
    assert service.begin("bulk/h/g/a b.hwb", 10, MD5) is None
    method, path, _ = Service.seen[0]
    assert method == "POST"
    assert "uploadType=resumable&ifGenerationMatch=0&name=bulk%2Fh%2Fg%2Fa%20b.hwb" in path


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (308, {"Range": f"bytes=0-{QUANTUM - 1}"}, QUANTUM),
        (308, {}, 0),
        (200, {}, len(DATA)),
        (412, {}, len(DATA)),
        (404, {}, SessionLost),
        (410, {}, SessionLost),
        (429, {}, UploadFailed),
        (408, {}, UploadFailed),
        (503, {}, UploadFailed),
    ],
)
def test_each_answer_to_a_chunk_means_one_thing(service, status, headers, outcome) -> None:
    Service.answers = [(status, headers)]
    if isinstance(outcome, int):
        assert service.send(session_of(service), chunk(0), 0, len(DATA)) == outcome
    else:
        with pytest.raises(outcome, match=str(status)):
            service.send(session_of(service), chunk(0), 0, len(DATA))
    assert Service.seen[0][2] == f"bytes 0-{QUANTUM - 1}/{len(DATA)}"


def test_a_service_that_is_not_there_is_a_failure_that_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UploadFailed, match="POST 127"):
        CloudStorage("bucket").begin("x", 1, MD5)


def test_no_session_is_a_failure_that_may_pass(service: CloudStorage) -> None:
    Service.answers = [(403, {})]
    with pytest.raises(UploadFailed, match="403"):
        service.begin("x", 1, MD5)


def test_what_arrived_is_counted_in_whole_quanta() -> None:
    assert arrived(f"bytes=0-{2 * QUANTUM - 1}") == 2 * QUANTUM
    assert arrived(f"bytes=0-{QUANTUM + 5}") == QUANTUM
    assert arrived("nonsense") == 0
