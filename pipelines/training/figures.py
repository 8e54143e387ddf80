"""The evaluation split as arrays, and what a card says of it: sources, and figures with their intervals."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipelines.training.intervals import Origin, figure
from pipelines.training.query import FLEET
from schemas.features import FEATURE_NAMES
from serving.cards import DataSource, Figure

Use = Literal["trained", "tested"]
# Of each corpus beside the fleet: where it comes from, and under which licence.
CORPORA: dict[str, tuple[Origin, str]] = {
    "simulated rooms": ("synthetic", "made here (local/signals)"),
    "NIST home smoke-alarm tests": ("real", "NIST, public domain in the United States; keep its notice"),
}
FLEET_LICENCES: dict[Origin, str] = {
    "real": "the homes' contracts",
    "synthetic": "made here (local/simulator)",
}


class Seen(NamedTuple):
    """Examples of a split.

    Attributes:
        features: float32[n, f]. labels: int[n]. corpora, homes: str[n].
    """

    features: NDArray[np.float32]
    labels: NDArray[np.intp]
    corpora: NDArray[np.str_]
    homes: NDArray[np.str_]


def read_split(uri: str, split: str, family: str) -> Seen:
    """Examples artifact → the split, in the order of its files."""
    names = FEATURE_NAMES[family]
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in names}
    spec |= {"label_id": tf.io.FixedLenFeature([], tf.int64)}
    spec |= {name: tf.io.FixedLenFeature([], tf.string) for name in ("corpus", "home_id")}
    files = sorted(tf.io.gfile.glob(f"{uri}/Split-{split}/*"))
    read = list(tf.data.TFRecordDataset(files, compression_type="GZIP").batch(1024).as_numpy_iterator())
    if not read:
        raise ValueError(f"the {split} split is empty: no home of {uri} fell into it")
    parsed = tf.io.parse_example(np.concatenate(read), spec)
    text = {name: np.array([v.decode() for v in parsed[name].numpy()]) for name in ("corpus", "home_id")}
    return Seen(
        np.stack([parsed[name].numpy() for name in names], axis=1),
        parsed["label_id"].numpy().astype(np.intp),
        text["corpus"],
        text["home_id"],
    )


def by_corpus(seen: Seen) -> list[tuple[str, int, int]]:
    """Split → (corpus, homes or recordings, examples) of each."""
    found = []
    for corpus in sorted(set(seen.corpora.tolist())):
        here = seen.corpora == corpus
        found.append((corpus, len(set(seen.homes[here].tolist())), int(here.sum())))
    return found


def _about(corpus: str, fleet: Origin) -> tuple[Origin, str]:
    return (fleet, FLEET_LICENCES[fleet]) if corpus == FLEET else CORPORA[corpus]


def source(use: Use, told: tuple[str, int, int], fleet: Origin) -> DataSource:
    """One entry of `by_corpus` → what the card says of it.

    Args:
        fleet: Whether the fleet's homes are real: those of a demo are not.
    """
    corpus, homes, examples = told
    origin, licence = _about(corpus, fleet)
    return DataSource(
        name=corpus, origin=origin, use=use, recordings=homes, examples=examples, licence=licence
    )


def measured(seen: Seen, said: NDArray[np.intp], classes: Sequence[str], fleet: Origin) -> list[Figure]:
    """Split and what the model says → accuracy and recalls, each corpus apart: real and made never mix."""
    made = []
    for corpus, _, _ in by_corpus(seen):
        here = seen.corpora == corpus
        right = (said == seen.labels)[here]
        origin, _ = _about(corpus, fleet)
        data = f"{corpus}, homes that were not trained on"
        made.append(figure("accuracy", origin, data, right))
        for index, name in enumerate(classes):
            chosen = seen.labels[here] == index
            if chosen.any():
                made.append(figure(f"recall of {name}", origin, data, right[chosen]))
    return made
