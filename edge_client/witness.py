"""What this boot of the machine has seen of an outbox: the proof that its file was not put back.

A disk may lie about fsync, and a file may be restored from a copy: both put an outbox back to a
head that was passed before, and its next numbers would be used twice. The witness is a page in
volatile memory that holds the epoch and the head of the newest commit, and the boot's id. It moves
forward after each commit and before anything of that commit may leave, by a store into mapped
memory: no system call, no flash. Whoever finds no witness of this boot, or one that has seen more
than the file knows, begins a new epoch (docs/decisions/009-witness.md).
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

_log = logging.getLogger(__name__)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SIZE: Final = mmap.PAGESIZE
_RECORD: Final = struct.Struct("<36s16sQI")  # boot id, epoch, head, checksum of these
_VOLATILE: Final = ("/run/hearthwatch", "$XDG_RUNTIME_DIR", "/dev/shm")


class Seen(NamedTuple):
    """Epoch and head of the newest commit of this boot."""

    epoch: bytes
    head: int


def default_path(outbox: Path) -> Path:
    """Outbox → a file of its own in the first volatile folder there is, else beside it."""
    name = hashlib.sha256(os.fsencode(outbox.resolve())).hexdigest()[:16]
    for folder in map(os.path.expandvars, _VOLATILE):
        if os.path.isdir(folder) and os.access(folder, os.W_OK):
            return Path(folder) / f"hearthwatch-{name}.witness"
    return outbox.with_name(f"{outbox.name}.witness")


def boot_id() -> bytes:
    """The kernel's id of this boot, 36 bytes; empty where there is none, which proves nothing."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""


class Witness:
    """The witness of one outbox. What cannot be kept is not there: then every start is a new epoch."""

    def __init__(self, path: Path, boot: bytes) -> None:
        """
        Args:
            path: Should lie in volatile memory; elsewhere the boot's id makes an old one worthless.
            boot: From `boot_id()`.
        """
        self._boot = boot
        self._page: mmap.mmap | None = None
        self.seen: Seen | None = None
        if not boot:
            return
        try:
            self._page = _map(path)
        except OSError as error:
            _log.warning("no witness at %s: every start begins a new epoch: %s", path, error)
            return
        boot_found, epoch, head, crc = _RECORD.unpack_from(self._page)
        if crc == zlib.crc32(self._page[: _RECORD.size - 4]) and boot_found == boot:
            self.seen = Seen(epoch, head)

    def record(self, epoch: bytes, head: int) -> None:
        """A commit happened: before anything of it leaves."""
        if self._page is None or self.seen == (epoch, head):
            return
        self.seen = Seen(epoch, head)
        content = _RECORD.pack(self._boot, epoch, head, 0)[:-4]
        self._page[: _RECORD.size] = content + zlib.crc32(content).to_bytes(4, "little")

    def close(self) -> None:
        """Let go of the page; the file stays."""
        if self._page is not None:
            self._page.close()
            self._page = None


def _map(path: Path) -> mmap.mmap:
    """Path → its page, allocated, so that no later store can fail.

    Raises:
        OSError: It cannot be made, or somebody else could have written it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise PermissionError(f"{path} is not a file that only this user may write")
        found = os.pread(fd, _SIZE, 0)
        os.pwrite(fd, found.ljust(_SIZE, b"\0"), 0)
        return mmap.mmap(fd, _SIZE)
    finally:
        os.close(fd)
