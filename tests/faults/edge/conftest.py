"""A folder in memory, for what is not about the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is room: many syncs, and nobody asks how fast they are."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    place = tempfile.mkdtemp(dir="/dev/shm", prefix="hearthwatch-test-")
    yield Path(place)
    shutil.rmtree(place)
