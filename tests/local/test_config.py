"""Settings of the local system."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from local.config import Settings, free_ports, isolated, port_fields, port_in_use
from local.emulators import client_environment


def test_isolated_settings_use_a_different_free_port_for_everything(tmp_path: Path) -> None:
    settings = isolated(tmp_path)
    ports = [getattr(settings, field) for field in port_fields()]
    assert len(set(ports)) == len(ports)
    assert not any(port_in_use(port) for port in ports)


def test_free_ports_are_not_those_that_the_system_gives_out_and_not_soon_the_same_again() -> None:
    ports = [port for _ in range(4) for port in free_ports(20)]
    assert len(set(ports)) == len(ports)
    assert max(ports) < 32_768


def test_a_port_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.config.port_in_use", lambda port: port % 2 == 1)
    assert all(port % 2 == 0 for port in free_ports(20))
    with pytest.raises(OSError, match="100 free ports wanted"):
        free_ports(100)


def test_default_ports_differ_from_each_other() -> None:
    ports = [Settings.model_fields[field].default for field in port_fields()]
    assert len(set(ports)) == len(ports)


def test_a_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTHWATCH_FIRESTORE_PORT", "4242")
    assert client_environment(Settings())["FIRESTORE_EMULATOR_HOST"] == "127.0.0.1:4242"


def test_a_port_beyond_its_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTHWATCH_MQTT_PORT", "70000")
    with pytest.raises(ValidationError, match="65535"):
        Settings()


def test_without_a_warehouse_no_client_is_sent_to_one(tmp_path: Path) -> None:
    assert "BIGQUERY_EMULATOR_HOST" not in client_environment(isolated(tmp_path, warehouse="off"))
    assert "BIGQUERY_EMULATOR_HOST" in client_environment(isolated(tmp_path, warehouse="on"))
