"""What a running gateway process takes over from its configuration when it is told to look again."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest

from edge_client.config import GatewayConfig
from edge_client.gateway import Gateway
from edge_client.main import _reread
from edge_client.policy import UplinkPolicy
from tests.edge_client.fakes import document, make_config


class Told(Gateway):
    """A gateway that only notes what it was told."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config, self.told = config, []

    def set_uplink(self, policy: UplinkPolicy) -> None:
        self.told.append(policy)


def _write(folder: Path, **changes: object) -> Path:
    path = folder / "gateway.json"
    path.write_text(json.dumps(document(folder, objects={"bucket": "b"}, **changes)))
    return path


def test_the_uplink_policy_is_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Told(make_config(tmp_path, objects={"bucket": "b"}))
    quick = dataclasses.asdict(gateway.config.uplink)
    _reread(_write(tmp_path, uplink={**quick, "policy": "adaptive"}), gateway)
    assert gateway.told == [UplinkPolicy.ADAPTIVE]
    assert caplog.records == []


def test_the_rest_is_named_as_needing_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Told(make_config(tmp_path, objects={"bucket": "b"}))
    _reread(_write(tmp_path, seal_grace_s=5.0), gateway)
    assert gateway.told == [UplinkPolicy.FULL]
    assert "needs a restart" in caplog.text


def test_a_mistake_changes_nothing_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Told(make_config(tmp_path, objects={"bucket": "b"}))
    path = _write(tmp_path, uplink={"policy": "sometimes"})
    with caplog.at_level(logging.ERROR):
        _reread(path, gateway)
    assert gateway.told == []
    assert "uplink.policy is 'sometimes'" in caplog.text
