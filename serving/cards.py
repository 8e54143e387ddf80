"""Weights and the card that says what they are: the package's own, listed, found, and verified when loaded.

The registry (serving.registry) keeps the versions that came after them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final, Literal

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.features import FEATURE_VERSION, input_shape
from schemas.models import Tier, line_of

WEIGHTS: Final = Path(__file__).parent / "weights"
MAX_WEIGHTS_BYTES: Final = 1_000_000  # of a small model, which scores everything
MAX_LARGE_BYTES: Final = 5_000_000
MAX_PARITY: Final = 1e-4
FORMATS: Final = (".tflite", ".onnx")


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


class Lineage(_Part):
    """Where a version comes from.

    Attributes:
        code: Commit of the code that trained it. run: of the training pipeline.
        compared_with: The version that it had to beat ("sound-1").
    """

    code: str = ""
    run: str = ""
    compared_with: str = ""


class ModelCard(_Part):
    """What a model is, what made it, and how well it does.

    Attributes:
        tier: "small" scores every reading, "large" what the small one selects.
        weights: File name beside the card: the version's, .tflite or .onnx. weights_sha256: of its bytes.
        input_shape: Of one example, without the batch.
        classes: In the order of the output.
        parity: Largest difference of a probability between Keras and the converted weights.
        data_from_us, data_to_us: Span of the fleet's minutes that it was trained on; 0: of none.
        licence: Of the weights; those of the data stand with each source.
    """

    family: Literal["sound", "motion", "air", "contact"]
    tier: Tier = "small"
    version: str = Field(pattern=r"^\d+(\.\d+)*$")
    title: str
    weights: str
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    weights_bytes: int = Field(gt=0, le=MAX_LARGE_BYTES)
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
    data_from_us: int = Field(default=0, ge=0)
    data_to_us: int = Field(default=0, ge=0)
    lineage: Lineage = Lineage()
    licence: str = Field(default="Hearthwatch; of the data: each source's", min_length=1)

    @property
    def line(self) -> str:
        """What this version is a version of: "sound", "sound_large"."""
        return line_of(self.family, self.tier)

    @property
    def model_version(self) -> str:
        """As scores carry it: "sound-1", "sound_large-1"."""
        return f"{self.line}-{self.version}"

    def check_input(self, batch: NDArray[Any]) -> None:
        """
        Raises:
            ValueError: It is not [n, *input_shape] of `input_dtype`.
        """
        if batch.shape[1:] != self.input_shape or batch.dtype != self.input_dtype:
            raise ValueError(
                f"{self.model_version} got {batch.dtype}{list(batch.shape[1:])}, "
                f"limit {self.input_dtype}{list(self.input_shape)}"
            )

    @model_validator(mode="after")
    def _fits_together(self) -> ModelCard:
        names = [f"{self.model_version}{suffix}" for suffix in FORMATS]
        if self.weights not in names:  # also: no path leads out of the folder
            raise ValueError(f"weights is {self.weights!r}, wanted one of {names}")
        if self.tier == "small" and self.weights_bytes > MAX_WEIGHTS_BYTES:
            raise ValueError(f"weights_bytes is {self.weights_bytes}, limit of a small {MAX_WEIGHTS_BYTES}")
        if self.data_to_us < self.data_from_us:
            raise ValueError(f"data_to_us is {self.data_to_us}, before data_from_us {self.data_from_us}")
        return self


def cards(folder: Path = WEIGHTS) -> list[Path]:
    """The cards of a folder, by family and rising version."""
    return sorted(folder.glob("*-*.json"), key=_order)


def find(family: str, folder: Path = WEIGHTS, tier: Tier = "small") -> Path:
    """A family and tier → the card of its newest version.

    Raises:
        ModelRefused: There is none.
    """
    line = line_of(family, tier)
    found = [path for path in cards(folder) if path.stem.rsplit("-", 1)[0] == line]
    if not found:
        raise ModelRefused(f"no model of family {line!r} in {folder.name}/: run `make models`")
    return found[-1]


def read_card(path: Path) -> ModelCard:
    """A card, checked against what this code can feed it.

    Raises:
        ModelRefused: Missing, or as `parse_card`.
    """
    try:
        return parse_card(path.name, path.read_bytes())
    except FileNotFoundError as error:
        raise ModelRefused(f"{path.name} is missing") from error


def parse_card(name: str, data: bytes) -> ModelCard:
    """Bytes of a card, in a file of this name → the card.

    Raises:
        ModelRefused: Not a card, named otherwise, or of another feature version or shape.
    """
    try:
        card = ModelCard.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelRefused(f"{name} is no model card: {place}: {first['msg']}") from error
    if name.removesuffix(".json") != card.model_version:
        raise ModelRefused(f"{name} holds the card of {card.model_version}")
    if card.feature_version != FEATURE_VERSION:
        raise ModelRefused(f"{name} wants features {card.feature_version}, this code {FEATURE_VERSION}")
    if card.input_shape != input_shape(card.family):
        raise ModelRefused(f"{name} wants input {card.input_shape}, limit {input_shape(card.family)}")
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
    check_weights(card, weights)
    return card, weights


def check_weights(card: ModelCard, weights: bytes) -> None:
    """
    Raises:
        ModelRefused: They are not the bytes that the card describes.
    """
    digest = hashlib.sha256(weights).hexdigest()
    if digest != card.weights_sha256:
        raise ModelRefused(
            f"{card.weights} has SHA-256 {digest[:12]}… ({len(weights)} bytes), "
            f"its card says {card.weights_sha256[:12]}… ({card.weights_bytes} bytes)"
        )


def _order(path: Path) -> tuple[str, list[int]]:
    family, _, version = path.stem.rpartition("-")
    return family, [int(part) if part.isdigit() else 0 for part in version.split(".")]
