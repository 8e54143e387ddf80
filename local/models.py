"""`hearthwatch models`: what the registry holds, and who serves. Changes need the registry's key."""

from __future__ import annotations

import datetime as dt
import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import google.cloud.storage as storage
import typer
from google.auth.credentials import AnonymousCredentials
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from local.config import Settings
from local.emulators import use_stand_ins
from serving import cards
from serving.channels import BadStep, Channel, State
from serving.objects import Conflict, StoreFailed, open_store
from serving.registry import Registry
from serving.signing import BadKey, Signer, TrustedKeys, make_key

EXIT_REFUSED = 1
# Of the registry, its keys and storage, and of a conversion to ONNX that computes something else.
REFUSALS = (cards.ModelRefused, BadStep, BadKey, StoreFailed, Conflict, FileExistsError, ArithmeticError)
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class _Refusing(TyperGroup):
    """Commands whose refusals are one sentence and `EXIT_REFUSED`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except REFUSALS as error:
            errors.print(str(error), markup=False)
            raise typer.Exit(EXIT_REFUSED) from error


app = typer.Typer(
    cls=_Refusing,
    help="The registry of models: versions, their states, and the way back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

By = Annotated[str, typer.Option(help="Who does this; none: you.")]
Reason = Annotated[str, typer.Option(help="Why.")]
Version = Annotated[str, typer.Argument(help="Like sound-2.")]


@dataclass
class _Chosen:
    """Where the registry is and which keys belong to it; opened by the command that needs it."""

    where: str
    key: Path | None
    trusted: Path | None

    def registry(self) -> Registry:
        return open_registry(Settings(), self.where, self.trusted)

    def signer(self) -> Signer:
        return Signer.read(self.key or Settings().registry_key)

    def move(self, version: str, state: State, by: str, reason: str) -> None:
        _say(self.registry().move(version, state, self.signer(), by=by or getpass.getuser(), reason=reason))


class _Context(typer.Context):
    obj: _Chosen


@app.callback()
def choose(
    context: typer.Context,
    registry: Annotated[
        str,
        typer.Option(help="gs://BUCKET/FOLDER or a local folder; none: that of the system on this machine."),
    ] = "",
    key: Annotated[Path | None, typer.Option(help="PEM file of the private key that signs.")] = None,
    trusted: Annotated[Path | None, typer.Option(help="PEM file of the public keys that count.")] = None,
) -> None:
    """Take what all commands share."""
    context.obj = _Chosen(registry, key, trusted)


def open_registry(settings: Settings, where: str = "", trusted: Path | None = None) -> Registry:
    """The registry at `where`, "" for that of the system on this machine.

    Raises:
        BadKey: There is no file of public keys.
    """
    keys = TrustedKeys.read(trusted or settings.registry_key.with_suffix(".pub"))
    if where:
        return Registry(open_store(where), keys)
    stand_in = storage.Client(
        project=settings.project,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://{settings.address(settings.gcs_port)}"},
    )
    return Registry(open_store(settings.registry_url, stand_in), keys)


def seed(settings: Settings) -> None:
    """Make the registry of this machine: its key, and the package's models, which serve at first."""
    if not settings.registry_key.exists():
        make_key(settings.registry_key)
    registry = open_registry(settings)
    signer = Signer.read(settings.registry_key)
    for path in cards.cards():
        card, weights = cards.load(path)
        version = registry.publish(card, weights, signer, by="package", reason="seed")
        if registry.resolve(card.family, card.tier) is None:
            registry.move(version, "fleet", signer, by="package", reason="seed")


@app.command("list")
def list_versions(context: _Context) -> None:
    """Show every version with its state and what was measured."""
    opened = context.obj.registry()
    table = Table("version", "state", "since", "by", "reason", "figure", box=None)
    for line in opened.lines():
        channel = opened.channel(line)
        for version, state in channel.states.items():
            last = next((s for s in reversed(channel.steps) if s.version == version), None)
            told = (_moment(last.at_us), last.by, last.reason) if last else ("", "", "")
            table.add_row(version, state, *told, _figure(opened, version))
    console.print(table)


@app.command()
def publish(
    context: _Context,
    card: Annotated[Path, typer.Argument(help="The card's JSON file, its weights beside it.")],
    by: By = "",
    reason: Reason = "",
    as_onnx: Annotated[
        str, typer.Option(help="Publish as this version with weights that also run on a GPU (ONNX).")
    ] = "",
) -> None:
    """Add a version, as candidate."""
    opened, signer = context.obj.registry(), context.obj.signer()
    model = cards.load(card)
    if as_onnx:
        from local.training import to_onnx

        model = to_onnx.as_onnx(*model, as_onnx)
    version = opened.publish(*model, signer, by=by or getpass.getuser(), reason=reason)
    console.print(f"{version} is published.", markup=False)


@app.command()
def promote(
    context: _Context,
    version: Version,
    to: Annotated[
        Literal["shadow", "fleet"] | None, typer.Option(help="How far; none: the next step.")
    ] = None,
    by: By = "",
    reason: Reason = "",
) -> None:
    """Take a version one step: candidate to shadow, shadow to fleet."""
    channel = context.obj.registry().channel(version.rpartition("-")[0])
    following: State = "fleet" if channel.states.get(version) == "shadow" else "shadow"
    context.obj.move(version, to or following, by, reason)


@app.command()
def demote(context: _Context, version: Version, by: By = "", reason: Reason = "") -> None:
    """Make a version candidate again: out of the shadow, or after it was withdrawn."""
    context.obj.move(version, "candidate", by, reason)


@app.command()
def rollback(
    context: _Context,
    line: Annotated[str, typer.Argument(help="sound, sound_large, motion, air or contact.")],
    by: By = "",
    reason: Reason = "",
) -> None:
    """Bring back what served before. Running pipelines follow within half a minute."""
    opened, signer = context.obj.registry(), context.obj.signer()
    _say(opened.rollback(line, signer, by=by or getpass.getuser(), reason=reason))


@app.command("make-key")
def make_a_key(out: Annotated[Path, typer.Argument(help="Where; the public key comes beside it.")]) -> None:
    """Make a key pair for a registry."""
    make_key(out)
    console.print(f"{out} signs; give {out.with_suffix('.pub')} to the workers.", markup=False)


def _say(channel: Channel) -> None:
    for version, state in channel.states.items():
        console.print(f"{version:<16} {state}", markup=False)


def _moment(us: int) -> str:
    return dt.datetime.fromtimestamp(us // 1_000_000, dt.UTC).strftime("%Y-%m-%d %H:%M")


def _figure(registry: Registry, version: str) -> str:
    """The first real figure of a version, else why it has none to show."""
    try:
        figures = registry.load(version).card.figures
    except cards.ModelRefused as refusal:
        return f"refused: {refusal}"
    real = [figure for figure in figures if figure.origin == "real"] or figures
    return f"{real[0].name} {real[0].value:.3f} ({real[0].data})" if real else ""


@app.command()
def compare(
    baseline: Annotated[str, typer.Argument(help="The version that serves, like sound-1.")],
    candidate: Annotated[str, typer.Argument(help="The version to judge by it, like sound-2.")],
    since: Annotated[str, typer.Option(help="First hour, like 2026-03-01T12 (UTC); none: this hour.")] = "",
    until: Annotated[str, typer.Option(help="Hour after the last.")] = "",
    home: Annotated[str, typer.Option(help="Replay this home's archive instead of asking the shadow.")] = "",
) -> None:
    """Compare two versions on this machine's system: agreement, alarms gained and missed, latency.

    By what the shadow said of the same readings, or with --home by replaying one hour of its archive.
    """
    from pipelines.compare import main

    settings = Settings()
    use_stand_ins(settings)
    source = (
        [
            f"--home={home}",
            f"--archive={settings.output_url}/archive",
            f"--fleet-ca={settings.run / 'fleet' / 'ca.pem'}",
        ]
        if home
        else [f"--warehouse=bigquery://{settings.project}.{settings.dataset}"]
    )
    code = main(
        [
            *(f"--baseline={baseline}", f"--candidate={candidate}", *source),
            *(f"--since={since or dt.datetime.now(dt.UTC).strftime('%Y-%m-%dT%H')}", f"--until={until}"),
            f"--registry={settings.registry_url}",
            f"--registry-keys={settings.registry_key.with_suffix('.pub')}",
        ]
    )
    raise typer.Exit(code)
