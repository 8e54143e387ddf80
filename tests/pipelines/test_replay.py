"""Replay: one home and hour through two versions of the models; dead letters on this code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.replay import main
from serving import cards
from tests.archives import minute_message, write_landing
from tests.fakes import NOW_US, FakeGateway, Fleet, body_of_event, body_of_minute, event
from tests.pipelines.test_compact import Place, place
from tests.transforms.test_resend_dead_letters import write_letters
from transforms.elements import RawMessage

__all__ = ["place"]  # the fixture
pytestmark = pytest.mark.system  # scores some minutes with the real models, several times: about 15 s

MINUTE_US = 60_000_000


def whole_minute(gateway: FakeGateway, seq: int) -> RawMessage:
    """All ten sensors of a home in minute `seq`."""
    message = minute_message(gateway, seq)
    minute_us = NOW_US + seq * MINUTE_US
    body = body_of_minute(minute_us, np.random.default_rng(seq), gateway_id=gateway.gateway_id)
    return message._replace(payload=gateway.envelope(body, seq=seq, created_us=minute_us + MINUTE_US))


@pytest.fixture
def hour(place: Place) -> Place:
    """Six minutes of two homes, and a smoke alarm of the first; half of it compacted."""
    first, second = place.fleet.gateway(1), place.fleet.gateway(2)
    smoke = first.envelope(
        body_of_event(event(occurred_us=NOW_US + 4 * MINUTE_US)), seq=90, created_us=NOW_US + 4 * MINUTE_US
    )
    alarm = minute_message(first, 4)._replace(payload=smoke, lane="urgent", message_id="smoke")
    write_landing(place.archive, [whole_minute(g, seq) for g in (first, second) for seq in (1, 2, 3)], "0")
    assert place.compact() == 0
    write_landing(place.archive, [*(whole_minute(first, seq) for seq in (4, 5, 6)), alarm], "late")
    return place


def replay(place: Place, *more: str, home: str = "home-0001", hour: str = "2026-03-01T12") -> int:
    return main(
        [
            "home",
            f"--home={home}",
            f"--hour={hour}",
            f"--archive={place.archive}",
            f"--compacted={place.output}",
            f"--fleet-ca={place.ca}",
            f"--output={place.output.parent / 'replay'}",
            *more,
        ]
    )


def differences(place: Place) -> dict[str, Any]:
    return json.loads((place.output.parent / "replay" / "differences.json").read_text())


def test_the_same_models_say_the_same_of_one_home_from_parts_and_landing(hour: Place, capsys: Any) -> None:
    assert replay(hour) == 0
    report = differences(hour)
    assert (report["messages"], report["readings"], report["differences"]) == (7, 60, [])
    assert report["episodes"] == {"baseline": 1, "candidate": 1}
    assert "no difference" in capsys.readouterr().out


def test_other_models_are_shown_by_what_they_say_otherwise(hour: Place, tmp_path: Path, capsys: Any) -> None:
    """The candidate's card turns the classes of the air model about: every air reading differs."""
    models = tmp_path / "models"
    shutil.copytree(cards.WEIGHTS, models, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (card,) = [path for path in models.glob("*.json") if "air" in path.name]
    content = json.loads(card.read_text())
    content["classes"] = content["classes"][::-1]
    card.write_text(json.dumps(content))
    assert replay(hour, f"--models={models}") == 0
    report = differences(hour)
    readings = [one for one in report["differences"] if one["what"] == "reading"]
    assert len(readings) == 12
    assert all("air-" in one["which"] and one["baseline"] != one["candidate"] for one in readings)
    assert readings[0]["candidate"].split()[0] in capsys.readouterr().out


def test_a_home_or_hour_without_messages_is_named(hour: Place, capsys: Any) -> None:
    assert replay(hour, home="home-0009") == 2
    assert (
        "--home: no message of it arrived in hour 2026-03-01T12 (given: home-0009)" in capsys.readouterr().err
    )


def dead_letters(place: Place, *more: str) -> int:
    return main(["dead-letters", f"--from={place.output.parent / 'dead_letters'}", *more])


def test_dead_letters_are_tried_on_this_code_and_those_rejected_again_are_told(
    place: Place, tmp_path: Path, capsys: Any
) -> None:
    good = whole_minute(place.fleet.gateway(1), 1)
    stranger = whole_minute(Fleet(99).gateway(2), 1)
    letters = [(good, "reading", "was a mistake of ours", 0), (stranger, "certificate", "not ours", -1)]
    write_letters(tmp_path / "dead_letters", *letters)
    options = [f"--through-build={tmp_path / 'tried'}", f"--fleet-ca={place.ca}"]
    assert dead_letters(place, *options) == 1
    told = capsys.readouterr().out
    assert "2 messages tried, 0 were sent before" in told
    assert "1 dead letters again" in told
    assert dead_letters(place, *options, "--stage=reading") == 0
    assert "0 dead letters again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["letters"], "command is 'letters', known commands: dead-letters, home"),
        (["dead-letters", "--from=x"], "one of to and through-build is wanted"),
        (["dead-letters", "--from=x", "--to=here"], "to is 'here', wanted pubsub://PROJECT"),
        (["dead-letters", "--from=/nowhere", "--to=pubsub://p"], "--from: no dead letters (given: /nowhere)"),
        (["home", "--home=h", "--hour=noon"], "--hour: Value error, not an hour of arrival"),
    ],
)
def test_a_mistake_is_named(capsys: Any, arguments: list[str], complaint: str) -> None:
    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err
