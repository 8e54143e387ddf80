"""The two sound models: a large one that hears with YAMNet's layers, a small one that learns from it."""

from __future__ import annotations

from typing import Final, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from local.training import nets, sounds
from local.training.examples import Examples

HEAD_EPOCHS: Final = 25
SMALL_EPOCHS: Final = 24
HEAD_RATE: Final = 1e-3
DECAY: Final = 1e-3


class Pair(NamedTuple):
    """Nets that take uint8[160, 64] and answer with probabilities of the same classes."""

    small: keras.Model
    large: keras.Model


class Pool(NamedTuple):
    """Examples with what the trunk makes of each, so that several models can be trained on parts of them.

    Attributes:
        source: int[n], which recording each is of; -1: synthetic.
    """

    examples: Examples
    features: NDArray[np.float32]
    source: NDArray[np.intp]

    def part(self, chosen: NDArray[np.bool_]) -> Pool:
        """Those examples."""
        inputs, labels = self.examples
        return Pool(Examples(inputs[chosen], labels[chosen]), self.features[chosen], self.source[chosen])


def pool(trunk: keras.Model, examples: Examples, source: NDArray[np.intp]) -> Pool:
    """Examples → a pool."""
    return Pool(examples, nets.probabilities(trunk, examples.inputs), source)


def joined(pools: list[Pool]) -> Pool:
    """Pools as one."""
    inputs, labels = (np.concatenate(part) for part in zip(*(p.examples for p in pools), strict=True))
    features, source = (np.concatenate([getattr(p, name) for p in pools]) for name in ("features", "source"))
    return Pool(Examples(inputs, labels), features, source)


def train(
    trunk: keras.Model, pooled: Pool, seed: int, share: float = 1.0, classes: int = len(sounds.CLASSES)
) -> Pair:
    """A head on the trunk's features, then a small net that learns from labels and head alike."""
    examples, features, _ = pooled
    top = nets.head(features, classes)
    told = Examples(features, examples.labels)
    nets.fit(top, told, max(round(HEAD_EPOCHS * share), 3), seed, rate=HEAD_RATE, decay=DECAY)
    small = nets.sound_net(classes)
    soft = nets.probabilities(top, features)
    nets.fit(small, examples, max(round(SMALL_EPOCHS * share), 3), seed, soft, decay=DECAY)
    return Pair(small, nets.joined(trunk, top))


def calibrate(pair: Pair, held_out: Examples) -> tuple[float, float]:
    """Set the temperature of both by examples that neither learnt from → the two temperatures."""
    found = []
    for net in pair:
        found.append(nets.temperature(nets.probabilities(net, held_out.inputs), held_out.labels))
        nets.cool(net, found[-1])
    return found[0], found[1]
