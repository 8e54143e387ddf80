"""`hearthwatch models`: what the registry holds, and who serves. Changes need the registry's key."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import google.cloud.storage as storage
import typer
from google.auth.credentials import AnonymousCredentials
from rich.console import Console
from rich.table import Table

from local.config import Settings
from local.emulators import use_stand_ins
from serving import cards
from serving.channels import BadStep, Channel, State
from serving.objects import Conflict, StoreFailed, open_store
from serving.registry import Registry
from serving.signing import BadKey, Signer, TrustedKeys, make_key

EXIT_REFUSED = 1
app = typer.Typer(
    help="The registry of models: versions, their states, and the way back. Without --registry: that of "
    "the system on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Where = Annotated[str, typer.Option("--registry", help="gs://BUCKET/FOLDER or a local folder.")]
Key = Annotated[Path | None, typer.Option(help="PEM file of the private key that signs.")]
Trusted = Annotated[Path | None, typer.Option(help="PEM file of the public keys that count.")]
By = Annotated[str, typer.Option(help="Who does this.")]
Reason = Annotated[str, typer.Option(help="Why.")]
Version = Annotated[str, typer.Argument(help="Like sound-2.")]


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
def list_versions(registry: Where = "", trusted: Trusted = None) -> None:
    """Show every version with its state and what was measured."""
    with _refusals():
        opened = open_registry(Settings(), registry, trusted)
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
    card: Annotated[Path, typer.Argument(help="The card's JSON file, its weights beside it.")],
    registry: Where = "",
    key: Key = None,
    trusted: Trusted = None,
    by: By = "",
    reason: Reason = "",
    as_onnx: Annotated[
        str, typer.Option(help="Publish as this version with weights that also run on a GPU (ONNX).")
    ] = "",
) -> None:
    """Add a version, as candidate."""
    with _refusals():
        opened, signer = _opened(registry, key, trusted)
        model = cards.load(card)
        if as_onnx:
            from local.training import to_onnx

            model = to_onnx.as_onnx(*model, as_onnx)
        version = opened.publish(*model, signer, by=by or getpass.getuser(), reason=reason)
        console.print(f"{version} is published.", markup=False)


@app.command()
def promote(
    version: Version,
    to: Annotated[str, typer.Option(help="shadow or fleet; none: the next step.")] = "",
    registry: Where = "",
    key: Key = None,
    trusted: Trusted = None,
    by: By = "",
    reason: Reason = "",
) -> None:
    """Take a version one step: candidate to shadow, shadow to fleet."""
    with _refusals():
        opened, signer = _opened(registry, key, trusted)
        state = opened.channel(version.rpartition("-")[0]).states.get(version)
        wanted: State = "fleet" if to == "fleet" or (not to and state == "shadow") else "shadow"
        if to not in ("", "shadow", "fleet"):
            raise BadStep(f"--to is {to!r}, known: shadow, fleet")
        _say(opened.move(version, wanted, signer, by=by or getpass.getuser(), reason=reason))


@app.command()
def demote(
    version: Version,
    registry: Where = "",
    key: Key = None,
    trusted: Trusted = None,
    by: By = "",
    reason: Reason = "",
) -> None:
    """Make a version candidate again: out of the shadow, or after it was withdrawn."""
    with _refusals():
        opened, signer = _opened(registry, key, trusted)
        _say(opened.move(version, "candidate", signer, by=by or getpass.getuser(), reason=reason))


@app.command()
def rollback(
    line: Annotated[str, typer.Argument(help="sound, sound_large, motion, air or contact.")],
    registry: Where = "",
    key: Key = None,
    trusted: Trusted = None,
    by: By = "",
    reason: Reason = "",
) -> None:
    """Bring back what served before. Running pipelines follow within half a minute."""
    with _refusals():
        opened, signer = _opened(registry, key, trusted)
        _say(opened.rollback(line, signer, by=by or getpass.getuser(), reason=reason))


@app.command("make-key")
def make_a_key(out: Annotated[Path, typer.Argument(help="Where; the public key comes beside it.")]) -> None:
    """Make a key pair for a registry."""
    with _refusals():
        make_key(out)
        console.print(f"{out} signs; give {out.with_suffix('.pub')} to the workers.", markup=False)


def _opened(where: str, key: Path | None, trusted: Path | None) -> tuple[Registry, Signer]:
    settings = Settings()
    return open_registry(settings, where, trusted), Signer.read(key or settings.registry_key)


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


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (cards.ModelRefused, BadStep, BadKey, StoreFailed, Conflict, FileExistsError) as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(EXIT_REFUSED) from error


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
