"""The configuration, read by a child process: what checks it stays in memory no longer than that."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas.errors import BadInput

if TYPE_CHECKING:
    from edge_client.config import GatewayConfig

_LIMIT_S: Final = 60.0


class NotChecked(Exception):
    """The check itself broke, which says nothing of the file."""


class Check:
    """The check of a file, under way (edge_client/config_file.py)."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            NotChecked: The child could not be started.
        """
        self._path = path
        command = [sys.executable, "-m", "edge_client.config_file", str(path)]
        try:
            self._child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise NotChecked(f"{path}: its check failed: {error}") from error

    def config(self) -> GatewayConfig:
        """→ the checked configuration. Once.

        Raises:
            BadInput: The file is at fault: one line a mistake.
            NotChecked: The child broke, or took too long.
        """
        with self._child:
            try:
                output, errors = self._child.communicate(timeout=_LIMIT_S)
            except subprocess.TimeoutExpired as error:
                self._child.kill()
                raise NotChecked(f"{self._path}: its check failed: {error}") from error
        said = errors.decode(errors="replace").strip()
        if self._child.returncode == os.EX_DATAERR:
            raise BadInput(said)
        if self._child.returncode:
            raise NotChecked(f"{self._path}: its check ended with {self._child.returncode}: {said[-500:]}")
        try:
            config: GatewayConfig = pickle.loads(output)  # of our own child
        except (pickle.UnpicklingError, EOFError) as error:
            raise NotChecked(f"{self._path}: its check said half a configuration") from error
        return config


def read_config(path: Path) -> GatewayConfig:
    """Configuration file → checked configuration.

    Raises:
        BadInput: The file is at fault: one line a mistake.
        NotChecked: The child could not be started, broke, or took too long.
    """
    return Check(path).config()
