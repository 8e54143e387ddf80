"""`make models`: train the models, convert them, write weights and cards to serving/weights."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: it logs its plugins

import keras

from local import recordings
from local.training import families
from local.training.convert import convert
from local.training.trained import Trained
from schemas.features import FEATURE_VERSION, Family
from schemas.models import line_of
from serving.cards import MAX_LARGE_BYTES, MAX_WEIGHTS_BYTES, WEIGHTS, Lineage, ModelCard

_LOG = logging.getLogger("train_models")
DEFAULT_SEED = 20_260_901


def train(family: Family, folder: Path | None, out: Path, seed: int, share: float) -> list[ModelCard]:
    """Train one family and write weights and card of each of its models to `out`.

    Args:
        share: Part of the usual data and epochs; tests take little.

    Raises:
        ArithmeticError: The converted weights do not compute what the net does.
        ValueError: The weights are too large to ship.
    """
    keras.utils.set_random_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    return [_write(family, made, out, seed) for made in families.FAMILIES[family](folder, seed, share)]


def _write(family: Family, made: Trained, out: Path, seed: int) -> ModelCard:
    weights, parity = convert(made.net, made.probe)
    limit = MAX_WEIGHTS_BYTES if made.tier == "small" else MAX_LARGE_BYTES
    if len(weights) > limit:
        raise ValueError(f"weights of {family}, {made.tier}, are {len(weights)} bytes, limit {limit}")
    card = ModelCard(
        family=family,
        tier=made.tier,
        version=made.version,
        title=made.title,
        weights=f"{line_of(family, made.tier)}-{made.version}.tflite",
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        weights_bytes=len(weights),
        feature_version=FEATURE_VERSION,
        input_shape=tuple(made.net.input_shape[1:]),
        input_dtype="uint8" if family == "sound" else "float32",
        classes=made.classes,
        parity=parity,
        seed=seed,
        split=made.split,
        data=tuple(made.data),
        figures=tuple(made.figures),
        intended_use=made.intended_use,
        limits=made.limits,
        licence=made.licence,
        lineage=Lineage(run=f"make models; Keras {keras.__version__} on {keras.backend.backend()}"),
    )
    (out / card.weights).write_bytes(weights)
    (out / f"{card.model_version}.json").write_text(card.model_dump_json(indent=1) + "\n")
    return card


def main(arguments: list[str] | None = None) -> int:
    """Train what is asked for and print each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=sorted(families.FAMILIES), action="append")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--share", type=float, default=1.0, help="part of the data and epochs (0 to 1)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for chatty in ("absl", "tensorflow"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    folder = recordings.recordings_folder()
    for family in options.family or families.FAMILIES:
        started = time.monotonic()
        _LOG.info("%s: training …", family)
        for card in train(family, folder, options.out, options.seed, options.share):
            for figure in card.figures:
                interval = f"{figure.low:.3f}–{figure.high:.3f}"
                _LOG.info(
                    "  %-42s %.3f (%s, n=%d) %s", figure.name, figure.value, interval, figure.n, figure.data
                )
            _LOG.info("%s: %d bytes, parity %.1e", card.model_version, card.weights_bytes, card.parity)
        _LOG.info("%s: %.0f s", family, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
