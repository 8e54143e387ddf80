"""A draft card and its weights → a signed candidate in the registry."""

from __future__ import annotations

from serving.cards import ModelCard
from serving.channels import Channel
from serving.registry import Registry
from serving.signing import Signer

BY = "pipelines.train"


def next_version(channel: Channel) -> str:
    """One above the highest whole number of a line's versions.

    >>> next_version(Channel(line="air", states={"air-1": "fleet", "air-10": "candidate"}))
    '11'
    """
    numbers = [name.rpartition("-")[2].partition(".")[0] for name in channel.states]
    return str(1 + max((int(number) for number in numbers if number.isdigit()), default=0))


def publish(card: ModelCard, weights: bytes, registry: Registry, signer: Signer, reason: str) -> str:
    """A draft card and its weights → the name under which the registry took them.

    Raises:
        ModelRefused, StoreFailed: See `Registry.publish`.
    """
    version = next_version(registry.channel(card.line))
    named = {"version": version, "weights": f"{card.line}-{version}.tflite"}
    final = ModelCard.model_validate({**card.model_dump(), **named})
    return registry.publish(final, weights, signer, by=BY, reason=reason)
