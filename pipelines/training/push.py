"""PushToRegistry: what both checks have blessed → the registry, as a signed candidate."""

from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.component.experimental.decorators import component

from pipelines.training.publish import publish
from pipelines.training.serving_check import CARD, WEIGHTS
from serving.cards import ModelCard
from serving.objects import open_store
from serving.registry import Registry
from serving.signing import Signer, TrustedKeys


@component
def PushToRegistry(
    blessing: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ModelBlessing],
    infra_blessing: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.InfraBlessing],
    candidate: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    pushed: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.PushedModel],
    registry: tfx.dsl.components.Parameter[str],
    key: tfx.dsl.components.Parameter[str],  # PEM file of the key that signs; its .pub lies beside it
    run: tfx.dsl.components.Parameter[str],
) -> None:
    """Publishes nothing unless both have blessed; `pushed` says which version, "" if none."""
    fileio = tfx.dsl.io.fileio
    fileio.makedirs(pushed.uri)
    if not all(one.get_int_custom_property("blessed") for one in (blessing, infra_blessing)):
        pushed.set_int_custom_property("pushed", 0)
        return
    opened = Registry(open_store(registry), TrustedKeys.read(Path(key).with_suffix(".pub")))
    with fileio.open(f"{candidate.uri}/{CARD}", "rb") as file:
        card = ModelCard.model_validate_json(file.read())
    with fileio.open(f"{candidate.uri}/{WEIGHTS}", "rb") as file:
        weights = file.read()
    version = publish(card, weights, opened, Signer.read(Path(key)), f"run {run}")
    pushed.set_int_custom_property("pushed", 1)
    pushed.set_string_custom_property("version", version)
