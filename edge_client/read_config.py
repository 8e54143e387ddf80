"""The configuration, read by a child process: what checks it stays in memory no longer than that."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Final

from edge_client.config import GatewayConfig
from schemas.errors import BadInput

_LIMIT_S: Final = 60.0


class NotChecked(Exception):
    """The check itself broke, which says nothing of the file."""


def read_config(path: Path) -> GatewayConfig:
    """Configuration file → checked configuration (edge_client/config_file.py).

    Raises:
        BadInput: The file is at fault: one line a mistake.
        NotChecked: The child could not be started, broke, or took too long.
    """
    command = [sys.executable, "-m", "edge_client.config_file", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotChecked(f"{path}: its check failed: {error}") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == os.EX_DATAERR:
        raise BadInput(said)
    if done.returncode:
        raise NotChecked(f"{path}: its check ended with {done.returncode}: {said[-500:]}")
    try:
        config = pickle.loads(done.stdout)  # of our own child
    except (pickle.UnpicklingError, EOFError) as error:
        raise NotChecked(f"{path}: its check said half a configuration") from error
    assert isinstance(config, GatewayConfig)
    return config
