"""supervisord: its configuration for a list of parts, its socket, its remote interface."""

from __future__ import annotations

import configparser
import os
import shlex
import sys
import tempfile
import xmlrpc.client
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from supervisor.xmlrpc import SupervisorTransport

from local.config import Settings
from local.parts import Part

_SOCKET_PATH_MAX: Final = 100  # bytes; the kernel's limit is 108, of macOS 104


def rpc(settings: Settings) -> Any:
    """supervisord's remote interface; a connection of its own, for threads must not share one."""
    transport = SupervisorTransport(None, None, f"unix://{socket_path(settings)}")
    return xmlrpc.client.ServerProxy("http://localhost", transport).supervisor


def socket_path(settings: Settings) -> Path:
    """supervisord's socket: in the run folder, or in the temporary one if the path would be too long."""
    path = settings.run / "supervisord.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
        return path
    name = sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"hearthwatch-{name}.sock"


def describe(part: Part, settings: Settings) -> dict[str, Any]:
    """What `status` and the watcher need to know of a part."""
    return {
        "title": part.title,
        "address": part.address,
        "log": str(settings.logs / f"{part.name}.log"),
        "restartable": part.restartable,
        "finishes": part.finishes,
    }


def write_config(parts: Sequence[Part], settings: Settings) -> Path:
    """supervisord's configuration. Parts stop in reverse order of the list."""
    config = configparser.RawConfigParser()
    config.optionxform = str  # type: ignore[assignment, method-assign]
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _plain(settings.logs / "supervisord.log"),
        "pidfile": _plain(settings.run / "supervisord.pid"),
    }
    config["unix_http_server"] = {"file": _plain(socket_path(settings)), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["eventlistener:watch"] = {
        "command": _plain(shlex.join([sys.executable, "-m", "local.watch", str(settings.run)])),
        "events": "PROCESS_STATE_EXITED,PROCESS_STATE_FATAL",
        "stderr_logfile": _plain(settings.logs / "watch.log"),
        "priority": "0",
    }
    for priority, part in enumerate(parts, 1):
        restart = ("unexpected" if part.finishes else "true") if part.restartable else "false"
        config[f"program:{part.name}"] = {
            "command": _plain(shlex.join(map(str, part.command))),
            "environment": ",".join(f'{key}="{_plain(value)}"' for key, value in part.environment.items()),
            "directory": _plain(settings.data),
            "priority": str(priority),
            "autostart": "false",
            "autorestart": restart,
            "exitcodes": "0",
            # Within `startsecs` the supervisor would start also that again which must not be restarted.
            "startsecs": "1" if part.restartable else "0",
            "startretries": "3",
            "stopwaitsecs": str(part.stop_s),
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _plain(settings.logs / f"{part.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "1",
        }
    file = settings.run / "supervisord.conf"
    with file.open("w") as output:
        config.write(output)
    return file


def _plain(value: object) -> str:
    """Text that supervisord takes as it stands: it expands percent signs."""
    return str(value).replace("%", "%%")
