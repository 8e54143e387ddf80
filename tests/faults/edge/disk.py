"""A disk that can be filled, broken and cut off under a real program: disk.c, loaded before libc.

`Disk` compiles and controls it; `Platter` replays its log and builds the states in which a power cut
may leave a disk (after CrashMonkey and ALICE): what was synced, and of what was not any subset of
512-byte sectors, so that pages and records are torn.
"""

from __future__ import annotations

import ctypes
import importlib.util
import mmap
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

_SOURCE: Final = Path(__file__).with_name("disk.c")
_RECORD: Final = struct.Struct("<cBHIq")  # struct record of disk.c
SECTOR: Final = 512

Kept = Literal["nothing", "everything", "some"]


class Control(ctypes.Structure):
    """struct control of disk.c; errors are errno values, 0 for none."""

    _fields_ = (
        ("write_errno", ctypes.c_int32),
        ("sync_errno", ctypes.c_int32),
        ("read_errno", ctypes.c_int32),
        ("sync_stall_ms", ctypes.c_int32),
        ("kill_at", ctypes.c_int64),
        ("calls", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
    )


class Op(NamedTuple):
    """A call that changed the disk: create, write, truncate, sync, directory sync, rename, unlink, mark."""

    op: str
    name: str
    offset: int
    data: bytes


class Disk:
    """A folder under the shim. `control` may be changed while programs run on it."""

    def __init__(self, work: Path) -> None:
        self.folder, self._log = work / "disk", work / "disk.log"
        self._library, page = work / "disk.so", work / "disk.control"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._library.exists():
            command = [*compiler(), "-O1", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE)]
            subprocess.run([*command, "-ldl", "-lpthread"], check=True)
        page.write_bytes(bytes(ctypes.sizeof(Control)))
        with page.open("r+b") as file:
            self.control = Control.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(Control)))
        self._page = page

    def environment(self, *, log: bool) -> dict[str, str]:
        """For a program that is to use this disk."""
        wanted = {
            "LD_PRELOAD": str(self._library),
            "DISK_FOLDER": str(self.folder),
            "DISK_CONTROL": str(self._page),
        }
        return {**os.environ, **wanted, **({"DISK_LOG": str(self._log)} if log else {})}

    def log(self) -> list[Op]:
        """Everything that happened to the disk, in order."""
        return list(_records(self._log.read_bytes()))


def compiler() -> list[str]:
    """Command of a C compiler: the machine's, or the one of the package `ziglang`.

    Raises:
        FileNotFoundError: There is none.
    """
    if found := shutil.which("cc"):
        return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise FileNotFoundError("no C compiler: install cc, or the package ziglang")


def _records(data: bytes) -> Iterator[Op]:
    at = 0
    while at < len(data):
        op, _, name_size, data_size, offset = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        name, at = data[at : at + name_size], at + name_size
        content, at = data[at : at + data_size], at + data_size
        yield Op(op.decode(), name.decode(), offset, content)


@dataclass
class _File:
    """Content on the platter, and changes that no sync has followed yet."""

    content: bytearray = field(default_factory=bytearray)
    waiting: list[Op] = field(default_factory=list)

    def sync(self) -> None:
        for op in self.waiting:
            _apply(self.content, op)
        self.waiting.clear()

    def cut(self, chance: random.Random, kept: Kept) -> bytes:
        content = bytearray(self.content)
        share = {"nothing": 0.0, "everything": 1.0}.get(kept) or chance.choice((0.0, 0.1, 0.5, 0.9))
        for op in self.waiting if kept != "nothing" else ():
            for piece in _sectors(op):
                if kept == "everything" or chance.random() < share:
                    _apply(content, piece)
        return bytes(content)


class Platter:
    """A disk as its log makes it. Names need a sync of their folder, content one of the file."""

    def __init__(self) -> None:
        self._now: dict[str, _File] = {}
        self._synced: dict[str, _File] = {}
        self._naming: list[tuple[Op, _File]] = []  # creates, renames and unlinks since the last folder sync

    def apply(self, op: Op, *, honest: bool = True) -> None:
        """One call more. A disk that is not honest confirms a sync and does nothing."""
        if op.op in "wt":
            self._now[op.name].waiting.append(op)
        elif op.op == "s" and honest:
            self._now[op.name].sync()
        elif op.op == "d" and honest:
            self._synced = dict(self._now)
            self._naming.clear()
        elif op.op in "cru":
            self._naming.append((op, _File() if op.op == "c" else self._now[op.name]))
            _name(self._now, *self._naming[-1])

    def cut(self, chance: random.Random, kept: Kept) -> dict[str, bytes]:
        """The power fails → what each file holds afterwards. Changes of names survive in their order."""
        count = {"nothing": 0, "everything": len(self._naming)}.get(kept)
        names = dict(self._synced)
        for op, file in self._naming[: chance.randint(0, len(self._naming)) if count is None else count]:
            _name(names, op, file)
        return {name: file.cut(chance, kept) for name, file in names.items()}


def _name(names: dict[str, _File], op: Op, file: _File) -> None:
    if op.op != "c":
        names.pop(op.name, None)
    if op.op != "u":
        names[op.data.decode() if op.op == "r" else op.name] = file


def _sectors(op: Op) -> Iterator[Op]:
    """A write as the sectors that it touches; a truncation as it is."""
    if op.op == "t":
        yield op
        return
    at = 0
    while at < len(op.data):
        end = at + SECTOR - (op.offset + at) % SECTOR
        yield op._replace(offset=op.offset + at, data=op.data[at:end])
        at = end


def _apply(content: bytearray, op: Op) -> None:
    end = op.offset if op.op == "t" else op.offset + len(op.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if op.op == "t":
        del content[end:]
    else:
        content[op.offset : end] = op.data
