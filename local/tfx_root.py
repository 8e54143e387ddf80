"""Where TFX runs: beside us if this machine's glibc is new enough, else in a Debian 13 root made for it.

`ml-metadata` and `tensorflow-data-validation` ship wheels for glibc 2.39 and later only. On an older system
a small Debian 13 (mmdebstrap; its signatures are checked by apt) is made once in the user's cache folder, and
commands run in it in a mount namespace of their own: nothing stays mounted, no file of this system changes.
The packages are those of `local/tfx/requirements.lock`, by hash, put there from outside: hard links into uv's
cache, no copy.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from local import tools
from local.config import ROOT, Settings
from local.install import UV, _locked, _run
from local.tools import MissingTool

FOLDER: Final = ROOT / "local" / "tfx"
LOCK: Final = FOLDER / "requirements.lock"
GLIBC: Final = (2, 39)
SUITE: Final = "trixie"
PYTHON: Final = "3.13"  # of that Debian
COMPLETE: Final = ".complete"
_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_SYSTEM: Final = ("/dev", "/etc/hosts", "/etc/resolv.conf")  # of this machine, seen inside as well
_PACKAGES: Final = f"usr/local/lib/python{PYTHON}/dist-packages"
# Documents and translations are half of a minimal Debian.
_LEAN: Final = ("doc", "man", "locale", "info")


def glibc() -> tuple[int, int]:
    """Of this Python; (0, 0): it uses none.

    >>> glibc() >= (0, 0)
    True
    """
    name, version = platform.libc_ver()
    parts = version.split(".")
    return (int(parts[0]), int(parts[1])) if name == "glibc" and len(parts) > 1 else (0, 0)


def needs_root() -> bool:
    """Whether TFX's wheels refuse this machine."""
    return glibc() < GLIBC


def folder(settings: Settings) -> Path:
    """In the cache, named after what is in it."""
    kind = f"debian-{SUITE}" if needs_root() else f"py{sys.version_info.major}{sys.version_info.minor}"
    return tools.cache_dir(settings) / f"tfx-{tools.fingerprint(LOCK)}-{kind}"


def ensure(settings: Settings, say: Callable[[str], None]) -> Path:
    """Make it if it is not there → its folder. A repeat takes milliseconds.

    Raises:
        MissingTool: It cannot be made here; the sentence says what is missing.
    """
    home = folder(settings)
    if (home / COMPLETE).exists():
        return home
    if not UV.exists():
        raise MissingTool("The installer of Python packages is missing; run `make setup`.")
    with _locked(home):
        if (home / COMPLETE).exists():
            return home
        began = time.monotonic()
        say("TFX's environment is made once, about two minutes")
        if needs_root():
            _make_debian(home, say)
            target = [
                "--target",
                str(home / _PACKAGES),
                "--python-version",
                PYTHON,
                "--python-platform",
                _wheels(),
            ]
        else:
            _run([str(UV), "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], ROOT, {})
            target = ["--python", str(home / "bin" / "python")]
        say("Python packages of TFX")
        _run([str(UV), "pip", "sync", "--quiet", "--require-hashes", *target, str(LOCK)], ROOT, {})
        (home / COMPLETE).touch()
        say(f"TFX's environment is ready after {time.monotonic() - began:.0f} s")
    return home


def command(settings: Settings, arguments: Sequence[str], *, binds: Sequence[Path] = ()) -> list[str]:
    """Arguments of Python → the command line that runs it where TFX is, from the repository.

    Args:
        binds: Folders that it reads or writes, besides the repository; the same path inside.
    """
    home = folder(settings)
    chosen = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    if needs_root():
        chosen |= {"HOME": "/root", "PATH": _PATH, "LC_ALL": "C.UTF-8"}
    environment = [
        "env",
        *(f"--unset={name}" for name in ("PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")),
        *(f"{name}={value}" for name, value in chosen.items()),
    ]
    if not needs_root():
        return [*environment, str(home / "bin" / "python"), *arguments]
    system = [path for name in _SYSTEM if (path := Path(name)).exists()]
    inside = f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(['/usr/bin/python3', *arguments])}"
    script = [
        f"mount -t proc proc {shlex.quote(str(home / 'proc'))}",
        *(_bind(home, path.resolve()) for path in (ROOT, *binds, *system)),
        f"exec chroot {shlex.quote(str(home))} /bin/sh -c {shlex.quote(inside)}",
    ]
    return [*environment, "unshare", "--mount", "--propagation=private", "sh", "-euc", "\n".join(script)]


def _bind(home: Path, path: Path) -> str:
    target = shlex.quote(f"{home}{path}")
    make = f"mkdir -p {target}" if path.is_dir() else f"mkdir -p $(dirname {target}) && touch {target}"
    return f"{make} && mount --rbind {shlex.quote(str(path))} {target}"


def _wheels() -> str:
    return f"{platform.machine()}-manylinux_2_40"


def _make_debian(home: Path, say: Callable[[str], None]) -> None:
    """
    Raises:
        MissingTool: Not Debian or Ubuntu, not root, or the mirror cannot be reached.
    """
    version = ".".join(map(str, glibc()))
    if os.geteuid() != 0:
        raise MissingTool(
            f"TFX needs glibc 2.39, this system has {version}, and only root may make and enter a Debian 13 "
            "for it: run this by sudo, or use Debian 13 or Ubuntu 24.04."
        )
    apt = shutil.which("apt-get")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    if shutil.which("mmdebstrap") is None:
        if apt is None:
            raise MissingTool(
                f"TFX needs glibc 2.39, this system has {version}, and no Debian 13 can be made without apt."
            )
        say("apt-get install mmdebstrap")
        _run([apt, "update", "-qq"], ROOT, quiet)
        _run([apt, "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"], ROOT, quiet)
    say(f"Debian {SUITE}")
    shutil.rmtree(home, ignore_errors=True)
    lean = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEAN]
    _run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates,python3"),
            '--aptopt=Acquire::Retries "3"',
            *lean,
            *("--skip=output/dev", SUITE, str(home)),
        ],
        ROOT,
        quiet,
    )
