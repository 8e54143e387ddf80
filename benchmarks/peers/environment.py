"""Where the peers run: a virtual environment of their own that sees this project's libraries as well.

The peers and what only they need are pinned with hashes in requirements.txt; what both need is this
project's version, so that the functions that are compared are the same to the last library.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

from local.config import ROOT

REQUIREMENTS: Final = Path(__file__).parent / "requirements.txt"
_INSTALL_LIMIT_S: Final = 600
# What a crash costs, by the engines' own documents and by what was tried (docs/decisions/016-speed.md).
GUARANTEES: Final = {
    "bytewax": "state and source position are restored together from the last epoch; no hook tells a source "
    "that an epoch was committed, so Pub/Sub could not be acknowledged after it: at most once",
    "pathway": "no source for Pub/Sub; this job persists nothing, so a crash loses the state; persistence "
    "and more machines want a licence",
}


def python() -> Path:
    """The peers' interpreter; makes the environment on first use and when the pins change.

    Raises:
        subprocess.CalledProcessError: The packages cannot be installed; its stderr says why.
    """
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".cache" / f"peers-{pins}"
    interpreter = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True, symlinks=True)
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run(
            [*command, f"--requirement={REQUIREMENTS}"],
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_LIMIT_S,
        )
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = folder / "lib" / version / "site-packages"
        (packages / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
        done.touch()
    return interpreter
