"""What a job acknowledged, payload by payload, in files that a test reads."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transforms import lease
from transforms.pubsub_client import Received, SubscriberClient
from transforms.read_pubsub import BundleBounds, _PullDoFn


class Told:
    """A file of this process to which payloads are appended."""

    def __init__(self, folder: str, kind: str) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = f"{kind}-{os.getpid()}-{uuid.uuid4().hex}.txt"
        self._file = open(Path(folder) / name, "ab", buffering=0)  # noqa: SIM115

    def add(self, payloads: Iterable[bytes]) -> None:
        self._file.write(b"".join(payload.hex().encode() + b"\n" for payload in payloads))

    def close(self) -> None:
        self._file.close()


class TellingClient(SubscriberClient):
    """Writes down what it has acknowledged."""

    folder: str

    def __init__(self) -> None:
        super().__init__()
        self._told = Told(self.folder, "acknowledged")
        self._payloads: dict[str, bytes] = {}

    def _receive(self, request: Any, timeout_s: float) -> list[Received]:
        received = super()._receive(request, timeout_s)
        self._payloads.update((one.ack_id, short(one.data)) for one in received)
        return received

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        super().acknowledge(subscription, ack_ids)
        self._told.add(self._payloads[ack_id] for ack_id in ack_ids)


class PullAndTell(_PullDoFn):
    """Our source, with a client that tells."""

    def __init__(self, subscription: str, told: str, bounds: BundleBounds) -> None:
        super().__init__(subscription, "minutes", bounds)
        self._told = told

    def setup(self) -> None:
        TellingClient.folder = self._told
        lease.SubscriberClient = TellingClient  # type: ignore[misc]
        super().setup()


def short(payload: bytes) -> bytes:
    """A payload of tests.faults.load.numbered without the zeros at its end."""
    return payload.rstrip(b"\0")


def told(folder: Path, kind: str) -> set[bytes]:
    """Payloads, `short`, in the files of a kind; a last line that is still being written is left out."""
    return {
        bytes.fromhex(line)
        for file in folder.glob(f"{kind}-*.txt")
        for line in file.read_text().split("\n")[:-1]
    }
