"""`make models`: train the four models, convert them, write weights and cards to serving/weights."""

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
from local.training import families, nets
from schemas.features import FEATURE_VERSION, Family
from serving.cards import MAX_WEIGHTS_BYTES, WEIGHTS, ModelCard

_LOG = logging.getLogger("train_models")
DEFAULT_SEED = 20_260_901
DEFAULT_VERSION = "1"


def train(family: Family, folder: Path | None, out: Path, version: str, seed: int, share: float) -> ModelCard:
    """Train one family and write `{family}-{version}.tflite` and `.json` to `out`.

    Args:
        share: Part of the usual data and epochs; tests take little.

    Raises:
        ArithmeticError: The converted weights do not compute what the net does.
        ValueError: The weights are too large to ship.
    """
    keras.utils.set_random_seed(seed)
    made = families.FAMILIES[family](folder, seed, share)
    weights, parity = nets.convert(made.net, made.probe)
    if len(weights) > MAX_WEIGHTS_BYTES:
        raise ValueError(f"weights of {family} are {len(weights)} bytes, limit {MAX_WEIGHTS_BYTES}")
    card = ModelCard(
        family=family,
        version=version,
        title=made.title,
        weights=f"{family}-{version}.tflite",
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
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / card.weights).write_bytes(weights)
    (out / f"{card.model_version}.json").write_text(card.model_dump_json(indent=1) + "\n")
    return card


def main(arguments: list[str] | None = None) -> int:
    """Train what is asked for and print each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=sorted(families.FAMILIES), action="append")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--version", default=DEFAULT_VERSION)
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
        card = train(family, folder, options.out, options.version, options.seed, options.share)
        for figure in card.figures:
            interval = f"{figure.low:.3f}–{figure.high:.3f}"
            _LOG.info(
                "  %-42s %.3f (%s, n=%d) %s", figure.name, figure.value, interval, figure.n, figure.data
            )
        seconds = time.monotonic() - started
        _LOG.info(
            "%s: %d bytes, parity %.1e, %.0f s", card.model_version, card.weights_bytes, card.parity, seconds
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
