"""Weights on disk and the card that says what they are: listed, found, and verified when loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.features import FEATURE_VERSION, input_shape

WEIGHTS: Final = Path(__file__).parent / "weights"
MAX_WEIGHTS_BYTES: Final = 1_000_000
MAX_PARITY: Final = 1e-4


class ModelRefused(Exception):
    """Weights or card are missing, corrupt, or of another feature version; the message says which."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSource(_Part):
    """A body of data that shaped or judged a model.

    Attributes:
        use: What it was used for; `trained` and `tested` never share a recording.
        examples: Readings drawn from it, after augmentation. recordings: distinct originals.
    """

    name: str
    origin: Literal["real", "synthetic"]
    use: Literal["trained", "tested"]
    recordings: int
    examples: int
    licence: str
    note: str = ""


class Figure(_Part):
    """A measured proportion with its 95 % Wilson interval, on data that the model never saw.

    Attributes:
        origin: Synthetic and real are never mixed in one figure.
        n: Trials. low, high: Interval.
    """

    name: str
    origin: Literal["real", "synthetic"]
    data: str
    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    n: int = Field(ge=1)


class ModelCard(_Part):
    """What a model is, what made it, and how well it does.

    Attributes:
        weights: File name beside the card. weights_sha256: of its bytes.
        input_shape: Of one example, without the batch.
        classes: In the order of the output.
        parity: Largest difference of a probability between Keras and the converted weights.
    """

    family: Literal["sound", "motion", "air", "contact"]
    version: str = Field(pattern=r"^\d+(\.\d+)*$")
    title: str
    weights: str
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    weights_bytes: int = Field(gt=0, le=MAX_WEIGHTS_BYTES)
    feature_version: int
    input_shape: tuple[int, ...]
    input_dtype: Literal["uint8", "float32"]
    classes: tuple[str, ...] = Field(min_length=2)
    parity: float = Field(ge=0, le=MAX_PARITY)
    seed: int
    split: str
    data: tuple[DataSource, ...]
    figures: tuple[Figure, ...]
    intended_use: str
    limits: tuple[str, ...]

    @property
    def model_version(self) -> str:
        """As scores carry it: "sound-1"."""
        return f"{self.family}-{self.version}"


def cards(folder: Path = WEIGHTS) -> list[Path]:
    """The cards of a folder, by family and rising version."""
    return sorted(folder.glob("*-*.json"), key=_order)


def find(family: str, folder: Path = WEIGHTS) -> Path:
    """A family → the card of its newest version.

    Raises:
        ModelRefused: There is none.
    """
    found = [path for path in cards(folder) if path.stem.rsplit("-", 1)[0] == family]
    if not found:
        raise ModelRefused(f"no model of family {family!r} in {folder.name}/: run `make models`")
    return found[-1]


def read_card(path: Path) -> ModelCard:
    """A card, checked against what this code can feed it.

    Raises:
        ModelRefused: Missing, not a card, named otherwise, or of another feature version or shape.
    """
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelRefused(f"{path.name} is missing") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelRefused(f"{path.name} is no model card: {place}: {first['msg']}") from error
    if path.stem != card.model_version:
        raise ModelRefused(f"{path.name} holds the card of {card.model_version}")
    if card.feature_version != FEATURE_VERSION:
        raise ModelRefused(f"{path.name} wants features {card.feature_version}, this code {FEATURE_VERSION}")
    if card.input_shape != input_shape(card.family):
        raise ModelRefused(f"{path.name} wants input {card.input_shape}, limit {input_shape(card.family)}")
    return card


def load(path: Path) -> tuple[ModelCard, bytes]:
    """A card's path → card and weights, whose SHA-256 is that of the card.

    Raises:
        ModelRefused: As `read_card`, or the weights are missing or not those of the card.
    """
    card = read_card(path)
    try:
        weights = (path.parent / card.weights).read_bytes()
    except FileNotFoundError as error:
        raise ModelRefused(f"{card.weights} is missing beside {path.name}") from error
    digest = hashlib.sha256(weights).hexdigest()
    if digest != card.weights_sha256:
        raise ModelRefused(
            f"{card.weights} has SHA-256 {digest[:12]}… ({len(weights)} bytes), "
            f"its card says {card.weights_sha256[:12]}… ({card.weights_bytes} bytes)"
        )
    return card, weights


def _order(path: Path) -> tuple[str, list[int]]:
    family, _, version = path.stem.rpartition("-")
    return family, [int(part) if part.isdigit() else 0 for part in version.split(".")]
