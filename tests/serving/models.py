"""Models for tests: shipped ones under other versions, and a registry that a key of the test's signs."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving import cards
from serving.cards import ModelCard
from serving.objects import FolderStore, Store
from serving.registry import Registry
from serving.signing import Signer, TrustedKeys


def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def shipped(family: str = "contact", version: str = "1") -> tuple[ModelCard, bytes]:
    """The shipped weights of a family, as this version of it."""
    card, weights = cards.load(cards.find(family))
    named = f"{family}-{version}{Path(card.weights).suffix}"
    return card.model_copy(update={"version": version, "weights": named}), weights


class KeptRegistry(Registry):
    """A registry in a folder, with its signer. Its clock stands still unless told."""

    def __init__(self, where: Path | Store) -> None:
        self.signer = signer()
        self.trusted = TrustedKeys.parse(self.signer.public_pem)
        self.clock_us = 0
        store = FolderStore(where) if isinstance(where, Path) else where
        super().__init__(store, self.trusted, lambda: self.clock_us)

    def add(self, version: str, family: str = "contact", to: str = "fleet") -> str:
        """Publish the shipped model as this version and bring it to a state."""
        name = self.publish(*shipped(family, version), self.signer, by="test")
        if to in ("shadow", "fleet") and (to == "shadow" or self.resolve(family) is not None):
            self.move(name, "shadow", self.signer, by="test")
        if to == "fleet":
            self.move(name, "fleet", self.signer, by="test")
        return name
