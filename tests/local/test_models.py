"""`hearthwatch models`: the registry from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from local import credentials, models, parts
from local.cli import app
from local.config import Settings, isolated
from local.training import to_onnx
from serving import cards

PACKAGE = cards.WEIGHTS / "contact-1.json"


@pytest.fixture
def run(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Runs `hearthwatch models …` on a registry in a folder → (exit code, what was said)."""
    key = tmp_path / "key.pem"
    where = [f"--registry={tmp_path / 'registry'}", f"--trusted={key.with_suffix('.pub')}"]

    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["models", *where, f"--key={key}", *words])
        return done.exit_code, done.output

    assert call("make-key", str(key))[0] == 0
    return call


def test_a_version_is_published_promoted_and_listed_with_who_and_why(run) -> None:  # type: ignore[no-untyped-def]
    assert run("publish", str(PACKAGE)) == (0, "contact-1 is published.\n")
    code, said = run("promote", "contact-1", "--to=fleet", "--by=anna", "--reason=first")
    assert (code, said.split()) == (0, ["contact-1", "fleet"])
    (row,) = [line for line in run("list")[1].splitlines() if line.strip().startswith("contact-1")]
    assert row.split()[1] == "fleet"
    assert "anna" in row


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "contact-7"), "contact-7.json is missing"),
        (("rollback", "contact"), "no version of contact is in the fleet"),
    ],
    ids=["unknown version", "nothing to roll back"],
)
def test_what_cannot_be_done_exits_1_and_says_why(run, words: tuple[str, ...], said: str) -> None:  # type: ignore[no-untyped-def]
    run("publish", str(PACKAGE))
    code, output = run(*words)
    assert code == 1
    assert said in output


def test_a_state_that_nobody_knows_is_a_bad_option_also_where_there_is_no_registry(run) -> None:  # type: ignore[no-untyped-def]
    code, output = run("promote", "contact-1", "--to=moon")
    assert code == 2
    assert "'moon' is not one of 'shadow', 'fleet'" in output


def test_weights_that_compute_something_else_as_onnx_are_refused_in_one_sentence(  # type: ignore[no-untyped-def]
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*_: object) -> None:
        raise ArithmeticError("contact-2.onnx differs by 0.5, limit 0.0001")

    monkeypatch.setattr(to_onnx, "as_onnx", differs)
    assert run("publish", str(PACKAGE), "--as-onnx=2") == (1, "contact-2.onnx differs by 0.5, limit 0.0001\n")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    chosen = isolated(tmp_path / "run")
    (gcs,) = [part for part in parts.stand_ins(chosen) if part.name == "gcs"]
    with parts.running(gcs, chosen):
        credentials.write(chosen)
        yield chosen


@pytest.mark.system
def test_the_system_on_this_machine_begins_with_the_packages_models_in_the_fleet(settings: Settings) -> None:
    for _ in range(2):
        models.seed(settings)
    registry = models.open_registry(settings)
    for path in cards.cards():
        card = cards.read_card(path)
        assert registry.load(registry.resolve(card.family, card.tier) or "").card == card
