"""A BigQuery that does not answer is said to be silent within seconds, and holds up few threads."""

from __future__ import annotations

import concurrent.futures
import socket
import time
from collections.abc import Iterator

import pytest

from webapp.errors import Unreachable
from webapp.warehouse import QUESTIONS, BigQueryWarehouse


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryWarehouse]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        host = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", host)
        monkeypatch.setattr("webapp.warehouse.TIMEOUT_S", 0.3)
        yield BigQueryWarehouse("demo.warehouse")


def test_a_silent_warehouse_is_unreachable_within_its_time(silent: BigQueryWarehouse) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match="BigQuery"):
        silent.objects("home-0001", 1)
    assert time.monotonic() - began < 3, "the client's own retries would last ten minutes"


def test_only_so_many_questions_wait_for_it(silent: BigQueryWarehouse) -> None:
    asked = 2 * QUESTIONS
    with concurrent.futures.ThreadPoolExecutor(asked) as threads:
        futures = [threads.submit(silent.objects, "home-0001", 1) for _ in range(asked)]
        said = [str(future.exception()) for future in futures]
    refused = sum("are waiting already" in words for words in said)
    assert 0 < refused <= asked - QUESTIONS
    with pytest.raises(Unreachable, match="Timeout"):
        silent.objects("home-0001", 1)
