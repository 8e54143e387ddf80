"""What a running gateway process takes over from its configuration when it is told to look again."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path

import pytest

from edge_client import read_config
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


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"home_id": ' + "1" * 5_000 + "}", "{"], ids=["deep", "number", "cut"]
)
def test_a_file_that_cannot_be_parsed_changes_nothing_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    gateway = Told(make_config(tmp_path, objects={"bucket": "b"}))
    path = tmp_path / "gateway.json"
    path.write_text(content)
    _reread(path, gateway)
    assert gateway.told == []
    assert f"{path}: not JSON" in caplog.text


@pytest.mark.parametrize("child", ["import time; time.sleep(60)", "raise MemoryError", "print('half')", None])
def test_a_check_that_breaks_changes_nothing_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, child: str | None
) -> None:
    gateway = Told(make_config(tmp_path, objects={"bucket": "b"}))
    python = tmp_path / "python"
    if child:
        python.write_text(f"#!{sys.executable}\n{child}")
        python.chmod(0o755)
    monkeypatch.setattr(read_config.sys, "executable", str(python))
    monkeypatch.setattr(read_config, "_LIMIT_S", 0.5)
    _reread(_write(tmp_path), gateway)
    assert gateway.told == []
    assert "not taken over" in caplog.text


def test_a_mistake_changes_nothing_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Told(make_config(tmp_path, objects={"bucket": "b"}))
    path = _write(tmp_path, uplink={"policy": "sometimes"})
    with caplog.at_level(logging.ERROR):
        _reread(path, gateway)
    assert gateway.told == []
    assert "uplink.policy is 'sometimes'" in caplog.text
