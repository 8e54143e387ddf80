"""Where the measured gateway runs: what `pip install 'hearthwatch[edge]'` brings and nothing else.

The development environment holds packages that the gateway's own libraries pick up when they are there
(paho takes dnspython, 7 MB), so that memory measured in it says nothing about a gateway.
"""

from __future__ import annotations

import hashlib
import subprocess
import venv
from importlib import metadata
from pathlib import Path
from typing import Final

from local.config import ROOT

_INSTALL_LIMIT_S: Final = 600


def python() -> Path:
    """The gateway's interpreter; makes the environment on first use and when a version changes.

    Raises:
        subprocess.CalledProcessError: The packages cannot be installed; its stderr says why.
    """
    found = {one.name: one.version for one in metadata.distributions() if one.name != "hearthwatch"}
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
    wanted = hashlib.sha256((pins + (ROOT / "setup.py").read_text()).encode()).hexdigest()[:12]
    folder = ROOT / ".cache" / f"gateway-{wanted}"
    interpreter, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True, symlinks=True)
        constraints = folder / "constraints.txt"
        constraints.write_text(pins)
        subprocess.run(
            [
                *(str(interpreter), "-m", "pip", "install", "--quiet", f"--constraint={constraints}"),
                *("--editable", f"{ROOT}[edge]"),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_LIMIT_S,
        )
        done.touch()
    return interpreter
