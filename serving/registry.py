"""The registry: immutable signed versions of models on object storage, and which of them serves.

    versions/sound-2/sound-2.json       the card (serving.cards)
    versions/sound-2/sound-2.tflite     the weights
    versions/sound-2/signature.json     of the card, which has the weights' hash; written last: now it exists
    channels/sound.json                 a signed channel document (serving.channels) of the line

Nothing is taken on trust: a reader verifies the signatures, then the card, then the weights, before any
byte reaches an interpreter. A channel document is signed as well and its serial only rises: who can write
to the bucket cannot promote a version, nor bring an old promotion back to a worker that saw a later one.
A worker that starts anew takes an old document for the present one (decision 032).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.models import Tier, line_of
from serving.cards import ModelCard, ModelRefused, check_weights, parse_card
from serving.channels import Channel, State
from serving.objects import NEW, Conflict, Store, StoreFailed
from serving.signing import Signature, Signer, TrustedKeys

_TRIES: Final = 5


class _Signed(BaseModel):
    """A channel document as it is kept: `channel` is the signed text itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    channel: str
    signature: Signature


class Model(NamedTuple):
    """A verified version."""

    card: ModelCard
    weights: bytes


class Registry:
    """Versions and channels in one store.

    Args:
        trusted: Whose signatures count.
        now_us: Wall clock, µs since 1970 UTC.
    """

    def __init__(
        self, store: Store, trusted: TrustedKeys, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        self._store = store
        self._trusted = trusted
        self._now_us = now_us

    def publish(self, card: ModelCard, weights: bytes, signer: Signer, *, by: str, reason: str = "") -> str:
        """A new version, as candidate of its line → its name. The same one again changes nothing.

        Raises:
            ModelRefused: The weights are not the card's, this code cannot feed the model, the signer is
                not trusted, or there is another version of that name: versions are immutable.
            StoreFailed: The store did not answer; publishing again is safe.
        """
        version = card.model_version
        data = (card.model_dump_json(indent=1) + "\n").encode()
        parse_card(f"{version}.json", data)
        check_weights(card, weights)
        signature = signer.sign("model", data)
        self._trusted.verify(version, "model", data, signature)
        for name, content in (
            (card.weights, weights),
            (f"{version}.json", data),
            ("signature.json", signature.model_dump_json().encode()),
        ):
            self._put_once(f"versions/{version}/{name}", content)
        self._change(card.line, lambda held: held.entered(version, self._now_us(), by, reason), signer)
        return version

    def move(self, version: str, to: State, signer: Signer, *, by: str, reason: str = "") -> Channel:
        """Give a version another state, after it was read back and verified.

        Raises:
            ModelRefused: The version is missing, corrupt, unsigned or does not fit this code.
            BadStep: There is no step from where it stands.
            StoreFailed: The store did not answer.
        """
        line = self.load(version).card.line
        return self._change(line, lambda held: held.moved(version, to, self._now_us(), by, reason), signer)

    def rollback(self, line: str, signer: Signer, *, by: str, reason: str = "") -> Channel:
        """Put back what served before the present version of the fleet.

        Args:
            line: "sound", "sound_large".

        Raises:
            BadStep: Nothing served before it.
            StoreFailed: The store did not answer.
        """
        return self._change(line, lambda held: held.rolled_back(self._now_us(), by, reason), signer)

    def resolve(self, family: str, tier: Tier = "small", state: State = "fleet") -> str | None:
        """The version of a family that serves; None: none was promoted.

        Raises:
            ModelRefused: The channel document is corrupt or not signed.
            StoreFailed: The store did not answer.
        """
        return self.channel(line_of(family, tier)).version_in(state)

    def channel(self, line: str) -> Channel:
        """The channel of a line; of an unknown one an empty channel.

        Raises:
            ModelRefused: It is corrupt, not signed by a trusted key, or another line's.
            StoreFailed: The store did not answer.
        """
        return self._read_channel(line)[0]

    def lines(self) -> list[str]:
        """Lines that have a channel."""
        names = self._store.names("channels/")
        return [name.removeprefix("channels/").removesuffix(".json") for name in names]

    def load(self, version: str) -> Model:
        """A version, verified.

        Raises:
            ModelRefused: Missing, unsigned, corrupt, or it does not fit this code; the message says which.
            StoreFailed: The store did not answer.
        """
        card = self.card(version)
        return Model(card, self.weights(card))

    def card(self, version: str) -> ModelCard:
        """The card of a version, verified.

        Raises:
            ModelRefused, StoreFailed: As `load`.
        """
        folder = f"versions/{version}"
        data = self._need(f"{folder}/{version}.json")
        signed = self._need(f"{folder}/signature.json")
        try:
            signature = Signature.model_validate_json(signed)
        except ValidationError as error:
            raise ModelRefused(f"{version} has a signature.json that is none") from error
        self._trusted.verify(version, "model", data, signature)
        return parse_card(f"{version}.json", data)

    def weights(self, card: ModelCard) -> bytes:
        """The weights of a verified card.

        Raises:
            ModelRefused, StoreFailed: As `load`.
        """
        weights = self._need(f"versions/{card.model_version}/{card.weights}")
        check_weights(card, weights)
        return weights

    def _need(self, name: str) -> bytes:
        stored = self._store.read(name)
        if stored is None:
            raise ModelRefused(f"{name} is missing")
        return stored.data

    def _put_once(self, name: str, data: bytes) -> None:
        try:
            self._store.write(name, data, NEW)
        except Conflict as error:
            stored = self._store.read(name)
            if stored is None or stored.data != data:
                raise ModelRefused(f"{name} is there already with other content") from error

    def _read_channel(self, line: str) -> tuple[Channel, int]:
        name = f"channels/{line}.json"
        stored = self._store.read(name)
        if stored is None:
            return Channel(line=line), NEW
        try:
            signed = _Signed.model_validate_json(stored.data)
            self._trusted.verify(name, "channel", signed.channel.encode(), signed.signature)
            channel = Channel.model_validate_json(signed.channel)
        except ValidationError as error:
            raise ModelRefused(f"{name} is no channel document: {error.errors()[0]['msg']}") from error
        if channel.line != line:
            raise ModelRefused(f"{name} holds the channel of {channel.line}")
        return channel, stored.generation

    def _change(self, line: str, change: Callable[[Channel], Channel], signer: Signer) -> Channel:
        for _ in range(_TRIES):
            channel, generation = self._read_channel(line)
            changed = change(channel)
            if changed == channel:
                return channel
            text = changed.model_dump_json()
            signature = signer.sign("channel", text.encode())
            self._trusted.verify(line, "channel", text.encode(), signature)
            kept = _Signed(channel=text, signature=signature).model_dump_json(indent=1)
            try:
                self._store.write(f"channels/{line}.json", kept.encode(), generation)
            except (Conflict, StoreFailed) as error:
                # Perhaps it was written all the same: an answer that was lost, or somebody's next change
                # where our own was read back. Done again, a rollback would go back twice.
                now = self.channel(line)
                if changed.steps[-1] in now.steps:
                    return now
                if isinstance(error, StoreFailed):
                    raise
                continue
            return changed
        raise Conflict(f"channels/{line}.json changed {_TRIES} times meanwhile")
