"""A small file that is read again when it changes; if that fails the last good copy stays and ages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

_LOG: Final = logging.getLogger(__name__)
REFRESH_S: Final = 30.0
T = TypeVar("T")


class RefreshedFile(Generic[T]):
    """A file's content, parsed.

    Args:
        path: Local path or gs://. It must be readable at the start.
        parse: Text → content; raises ValueError for a bad file, which is then not taken.
        clock_s: Seconds, rising; measures `age_s`.
    """

    def __init__(self, path: str, parse: Callable[[str], T], clock_s: Callable[[], float]) -> None:
        self._path = path
        self._parse = parse
        self._clock_s = clock_s
        self._stamp: float | None = None
        self._stop = threading.Event()
        self._read()

    @property
    def content(self) -> T:
        """As of the last good copy."""
        return self._content

    @property
    def age_s(self) -> float:
        """Seconds since the file was last seen to be what we hold. Its growth is an alarm."""
        return self._clock_s() - self._seen_s

    def refresh(self) -> bool:
        """Read the file if it changed; False, and the last good copy stays, if that fails."""
        try:
            self._read()
        except (OSError, BeamIOError, ValueError) as error:
            _LOG.warning("%s not read, copy is %.0f s old: %s", self._path, self.age_s, error)
            return False
        return True

    def start(self, every_s: float = REFRESH_S) -> None:
        """Refresh in the background until `stop`."""
        threading.Thread(target=self._run, args=(every_s,), name="refresh", daemon=True).start()

    def stop(self) -> None:
        """End the background thread."""
        self._stop.set()

    def _run(self, every_s: float) -> None:
        while not self._stop.wait(every_s):
            self.refresh()

    def _read(self) -> None:
        stamp = FileSystems.last_updated(self._path)
        if stamp != self._stamp:
            with FileSystems.open(self._path) as file:
                self._content = self._parse(file.read().decode())
            self._stamp = stamp
        self._seen_s = self._clock_s()
