"""What the supervisor is told, and what a person is told when a start is refused."""

import configparser
import shlex
import socket
from pathlib import Path

import pytest

from local import supervise, supervisord
from local.config import HOST
from tests.local.small_system import small_parts, small_settings


def test_a_busy_port_is_named_with_the_setting_that_changes_it(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    with socket.socket() as other:
        other.bind((HOST, settings.web_port))
        other.listen()
        with pytest.raises(supervise.PortInUse) as caught:
            supervise.check_ports(small_parts(settings), settings)
    assert (
        str(caught.value)
        == f"Port {settings.web_port} for the Small page is in use; set HEARTHWATCH_WEB_PORT."
    )


def test_commands_with_spaces_and_percent_signs_reach_the_supervisor_unchanged(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    command = ["run", "100 %", "%(name)s", "it's"]
    written = configparser.RawConfigParser()
    written.read(supervisord.write_config(small_parts(settings, command=command), settings))
    assert shlex.split(written["program:store"]["command"].replace("%%", "%")) == command


def test_parts_stop_in_reverse_order_of_their_start(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    written = configparser.RawConfigParser()
    written.read(supervisord.write_config(small_parts(settings), settings))
    assert int(written["program:store"]["priority"]) < int(written["program:page"]["priority"])


def test_a_run_folder_with_a_long_path_keeps_its_socket_elsewhere(tmp_path: Path) -> None:
    settings = small_settings(tmp_path / ("long" * 30))
    assert len(str(supervisord.socket_path(settings))) < 108


def test_nothing_runs_in_an_empty_folder(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    assert supervise.status(settings) == []
    assert supervise.stop(settings) == 0
