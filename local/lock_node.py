"""Resolve the npm packages of the broker, the Auth emulator, the owner's app and the tests anew: `make lock`.

The lock files keep versions and hashes, and no address of a registry: each machine has its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from local.config import ROOT
from local.tools import npm


def main() -> int:
    """Rewrite every `package-lock.json`. Returns npm's exit code."""
    for name in ("broker", "auth", "firebase", "axe"):
        folder = ROOT / "local" / name
        done = subprocess.run(
            [*npm(), "update", "--package-lock-only", "--ignore-scripts"], cwd=folder, check=False
        )
        if done.returncode:
            return done.returncode
        lock = folder / "package-lock.json"
        content: dict[str, Any] = json.loads(lock.read_text())
        for package in content["packages"].values():
            if str(package.get("resolved", "")).startswith("http"):
                del package["resolved"]
        lock.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
