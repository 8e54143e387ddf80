"""The model that a worker process serves now: resolved from the registry, swapped while a job runs.

A process looks at the channel of its line every `REFRESH_S` on a thread of its own; a bundle never waits
for the registry. What is refused is logged with its reason and counted, and the last good version stays;
without one, the package's. The new version is opened and tried before the old one is let go, and the old
one goes when the last batch that uses it ends: two are resident for the swap and no longer.

Weights are kept once a worker machine, in a folder that its processes share and map (decision 032).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from schemas.models import Tier, line_of
from serving import cards
from serving.cards import ModelCard, ModelRefused
from serving.channels import Channel, State
from serving.interpreter import LoadedModel, open_card, open_model
from serving.objects import StoreFailed, open_store
from serving.registry import Registry
from serving.signing import TrustedKeys

_LOG: Final = logging.getLogger(__name__)
REFRESH_S: Final = 10.0
# By card: a version that leaves the shadow for the fleet is in the process already, and is not opened twice.
_OPEN: Final[weakref.WeakValueDictionary[str, LoadedModel]] = weakref.WeakValueDictionary()


class ModelSource(NamedTuple):
    """Where models come from; travels with the pipeline to its workers.

    Attributes:
        folder: Cards and weights that came with the code; "": the package's.
        registry: gs://BUCKET/FOLDER or a local folder; "": none, the folder alone.
        trusted_pem: Public keys whose signatures count, PEM.
        refresh_s: Seconds between two looks at the registry.
        cache: Folder of this machine for weights; "": in its temporary folder.
    """

    folder: str = ""
    registry: str = ""
    trusted_pem: bytes = b""
    refresh_s: float = REFRESH_S
    cache: str = ""


PACKAGED: Final = ModelSource()


class LiveModel:
    """One line of models in this process.

    Args:
        state: "fleet", or "shadow" for the one that is watched.
        start: False: only `refresh` looks at the registry; for tests.
    """

    def __init__(
        self,
        source: ModelSource,
        family: str,
        tier: Tier = "small",
        state: State = "fleet",
        *,
        start: bool = True,
    ) -> None:
        self.line = line_of(family, tier)
        self._source = source
        self._family = family
        self._tier = tier
        self._state = state
        self._registry: Registry | None = None
        self._channel = Channel(line=self.line)
        self._current: LoadedModel | None = None
        self._refused: set[str] = set()  # versions that were: said once, tried again each time
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        if source.registry:
            self.refresh()
        if self._current is None and state == "fleet":
            self._current = self._packaged()
        if start and source.registry:
            refresh = threading.Thread(
                target=_refresh_while_alive,
                args=(weakref.ref(self), source.refresh_s),
                name=f"models-{self.line}",
            )
            refresh.daemon = True
            refresh.start()

    @property
    def current(self) -> LoadedModel | None:
        """What serves now; hold it for one batch. None: no version of this line has this state."""
        return self._current

    def take_counts(self) -> dict[str, int]:
        """What happened since the last call: models_loaded, models_refused, registry_failures."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return dict(taken)

    def refresh(self) -> None:
        """Follow the registry. Raises nothing: what goes wrong is counted, and what serves stays."""
        try:
            if self._registry is None:
                self._registry = Registry(
                    open_store(self._source.registry), TrustedKeys.parse(self._source.trusted_pem)
                )
            channel = self._registry.channel(self.line)
            if channel.serial < self._channel.serial:
                raise ModelRefused(
                    f"channels/{self.line}.json has serial {channel.serial}, "
                    f"this process has seen {self._channel.serial}"
                )
            self._channel = channel
            self._follow(channel.version_in(self._state))
        except ModelRefused as refusal:
            self._count("models_refused")
            if str(refusal) not in self._refused:
                self._refused.add(str(refusal))
                _LOG.error("%s refused, %s stays: %s", self.line, self._name(), refusal)
        except (StoreFailed, OSError) as error:
            self._count("registry_failures")
            _LOG.warning("registry not read, %s stays: %s", self._name(), error)

    def _follow(self, version: str | None) -> None:
        if version is None:
            if self._state != "fleet":
                self._current = None
            return  # a line of which no version was in the fleet yet keeps the package's
        if version == self._name():
            return
        assert self._registry is not None
        began = time.monotonic()
        card = self._registry.card(version)
        if card.line != self.line:
            raise ModelRefused(f"{version} is of {card.line}, wanted {self.line}")
        text = card.model_dump_json()
        loaded = _OPEN.get(text)
        if loaded is None:
            fetch = partial(self._registry.weights, card)
            loaded = _OPEN[text] = open_model(card, kept_weights(self._source.cache, card, fetch))
        before, self._current = self._name(), loaded
        self._count("models_loaded")
        _LOG.info("%s: %s in place of %s, %.2f s", self.line, version, before, time.monotonic() - began)

    def _packaged(self) -> LoadedModel | None:
        folder = Path(self._source.folder) if self._source.folder else cards.WEIGHTS
        try:
            path = cards.find(self._family, folder, self._tier)
        except ModelRefused:
            if self._tier == "large":
                return None  # a cascade without its second step
            raise
        return open_card(path)

    def _name(self) -> str:
        return self._current.card.model_version if self._current else "nothing"

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1


def kept_weights(cache: str, card: ModelCard, fetch: Callable[[], bytes]) -> Path:
    """The file of these weights on this machine, fetched by the first process that wants it.

    Its name is its content's hash; what lies there under that name and is something else is replaced.

    Raises:
        ModelRefused: The folder is another user's. Also what `fetch` raises.
    """
    folder = Path(cache) if cache else Path(tempfile.gettempdir()) / f"hearthwatch-models-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise ModelRefused(f"{folder} belongs to user {folder.stat().st_uid}, this process is {os.getuid()}")
    path = folder / f"{card.weights_sha256}{Path(card.weights).suffix}"
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists() or _sha256(path) != card.weights_sha256:
            part = path.with_suffix(".part")
            part.write_bytes(fetch())
            os.replace(part, path)  # who has the old file mapped keeps it
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refresh_while_alive(reference: weakref.ref[LiveModel], every_s: float) -> None:
    while True:
        time.sleep(every_s)
        model = reference()
        if model is None:
            return
        model.refresh()
        del model
