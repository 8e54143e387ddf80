"""TFX for a test that cannot do without; skipped only where it cannot be had, whatever else breaks fails."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from local import tfx_root
from local.config import Settings

# What mmdebstrap takes packages from, asked by apt's own settings (proxy, mirror in place of it).
MIRROR = "http://deb.debian.org/debian"
APT_HELPER = "/usr/lib/apt/apt-helper"


def need_tfx(settings: Settings) -> None:
    """Make it where it is not there yet: about two minutes, once a machine."""
    if reason := _no_debian(settings):
        pytest.skip(f"TFX needs a Debian 13 here, and none can be made: {reason}")
    tfx_root.ensure(settings, print)


def _no_debian(settings: Settings) -> str:
    """Why the Debian root cannot be made, "" if it is there, not needed, or can be."""
    if not tfx_root.needs_root() or (tfx_root.folder(settings) / tfx_root.COMPLETE).exists():
        return ""
    if os.geteuid() != 0:
        return "only root may make and enter it"
    if not Path(APT_HELPER).exists():
        return "this system has no apt"
    wanted = f"{MIRROR}/dists/{tfx_root.SUITE}/InRelease"
    with tempfile.TemporaryDirectory() as folder:
        asked = [APT_HELPER, "download-file", wanted, f"{folder}/InRelease"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    return "" if done.returncode == 0 else f"{MIRROR} does not answer: {done.stderr.strip()[-200:]}"
