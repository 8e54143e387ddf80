"""Options → the model handlers of a job: small, large, and those of versions in the shadow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from apache_beam.ml.inference.base import ModelHandler

from pipelines.options import BadOptions, MonitorConfig
from schemas.models import LARGE_FAMILIES
from serving import cards
from serving.handlers import CloseModelHandler, ReadingModelHandler
from serving.live import PACKAGED, ModelSource
from serving.signing import BadKey, TrustedKeys
from transforms.score_readings import FAMILIES


class Models(NamedTuple):
    """What `build()` scores with.

    Attributes:
        small: A handler for each family.
        large: Wait → handler of the large model (transforms.score_closely).
        shadows: Handlers of the versions in the shadow; empty: no registry says which.
    """

    small: Mapping[str, ModelHandler]
    large: Callable[[float | None], ModelHandler]
    shadows: Mapping[str, ModelHandler]


def model_source(config: MonitorConfig) -> ModelSource:
    """Where this job's workers get their models.

    Raises:
        BadOptions: The file of the registry's public keys is missing or holds none.
    """
    if not config.registry:
        return ModelSource(config.models)
    try:
        pem = Path(config.registry_keys).read_bytes()
        TrustedKeys.parse(pem)
    except (OSError, BadKey) as error:
        raise BadOptions(f"--registry-keys: {error} (given: {config.registry_keys})") from error
    return ModelSource(config.models, config.registry, pem)


def model_handlers(source: ModelSource = PACKAGED) -> Models:
    """Handlers of all families.

    Raises:
        cards.ModelRefused: A family has no model in the folder, which serves until the registry does.
    """
    folder = Path(source.folder) if source.folder else cards.WEIGHTS
    for family in FAMILIES:
        cards.read_card(cards.find(family, folder))
    (large,) = LARGE_FAMILIES
    return Models(
        {family: ReadingModelHandler(family, source) for family in FAMILIES},
        functools.partial(CloseModelHandler, large, source),
        {family: ReadingModelHandler(family, source, "shadow") for family in FAMILIES if source.registry},
    )
