"""The stand-ins and the engine, as `hearthwatch up` starts them."""

import ipaddress
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import google.auth
import psutil
import pytest
from google.cloud import firestore
from google.pubsub_v1 import SubscriberClient

from local import credentials, emulators, parts, supervise
from local.config import Settings, isolated, port_fields, port_in_use
from tests.local.test_supervise_system import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    chosen = isolated(tmp_path / "run")
    for name, value in emulators.client_environment(chosen).items():
        monkeypatch.setenv(name, value)
    yield chosen
    supervise.stop(chosen)


def listening(settings: Settings) -> dict[int, str]:
    """Port → address of every socket that a process of the run listens on."""
    return {
        connection.laddr.port: connection.laddr.ip
        for process in supervise.processes(settings)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def test_all_stand_ins_start_on_loopback_only_and_leave_nothing(settings: Settings) -> None:
    wanted = [*parts.stand_ins(settings), parts.engine_part(settings)]
    seconds = supervise.start(wanted, settings, lambda _: None)
    assert set(seconds) == {"mqtt", "pubsub", "firestore", "auth", "gcs", "bigquery", "engine"}

    listed = listening(settings)
    used = {getattr(settings, field) for part in wanted for field in part.ports}
    assert used <= set(listed)
    addresses = {ipaddress.ip_address(ip.removeprefix("::ffff:")) for ip in listed.values()}
    assert all(address.is_loopback for address in addresses), listed

    names = {
        one.name.rsplit("/", 1)[1]
        for one in SubscriberClient().list_subscriptions(project=f"projects/{settings.project}", timeout=20)
    }
    assert names == {"urgent-monitor", "urgent-monitor-second", "minutes-monitor", "bulk-monitor"}
    document = firestore.Client(project=settings.project).document("homes/home-1")
    document.set({"armed_mode": "away"}, timeout=20)
    assert document.get(timeout=20).to_dict() == {"armed_mode": "away"}

    supervise.stop(settings)
    assert not supervise.processes(settings)
    assert not [field for field in port_fields() if port_in_use(getattr(settings, field))]


def test_a_part_that_a_test_starts_alone_ends_with_it(settings: Settings) -> None:
    mqtt = next(part for part in parts.stand_ins(settings) if part.name == "mqtt")
    with parts.running(mqtt, settings):
        assert port_in_use(settings.mqtt_port)
    wait_until(lambda: not port_in_use(settings.mqtt_port))


def test_the_throw_away_account_is_found_by_googles_clients_and_private(settings: Settings) -> None:
    file = credentials.write(settings)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found, _ = google.auth.default()
    assert found
    assert json.loads(file.read_text())
