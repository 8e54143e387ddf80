"""The states of versions: one step at a time, one in the fleet, and a way back."""

from __future__ import annotations

import pytest

from serving.channels import MAX_STEPS, BadStep, Channel


def _channel(*versions: str) -> Channel:
    """These versions one after the other in the fleet."""
    channel = Channel(line="sound")
    for at, version in enumerate(versions):
        channel = channel.entered(version, at, "anna")
        if at:
            channel = channel.moved(version, "shadow", at, "anna")
        channel = channel.moved(version, "fleet", at, "anna")
    return channel


def test_a_version_goes_from_candidate_over_shadow_to_fleet_and_retires_the_one_before() -> None:
    channel = _channel("sound-1", "sound-2")
    assert channel.states == {"sound-1": "retired", "sound-2": "fleet"}
    assert channel.version_in("fleet") == "sound-2"
    assert [(step.version, step.state) for step in channel.steps] == [
        ("sound-1", "candidate"),
        ("sound-1", "fleet"),
        ("sound-2", "candidate"),
        ("sound-2", "shadow"),
        ("sound-2", "fleet"),
    ]
    assert [step.serial for step in channel.steps] == [1, 2, 3, 4, 5]


def test_only_the_first_of_a_line_reaches_the_fleet_without_a_shadow() -> None:
    channel = _channel("sound-1").entered("sound-2", 1, "anna")
    with pytest.raises(BadStep, match=r"sound-2 is candidate: .* not to fleet"):
        channel.moved("sound-2", "fleet", 2, "anna")


def test_a_second_shadow_sends_the_first_back() -> None:
    channel = _channel("sound-1")
    for version in ("sound-2", "sound-3"):
        channel = channel.entered(version, 1, "anna").moved(version, "shadow", 1, "anna")
    assert channel.states == {"sound-1": "fleet", "sound-2": "candidate", "sound-3": "shadow"}


def test_a_rollback_raises_the_serial_and_bars_what_it_rolled_back() -> None:
    channel = _channel("sound-1", "sound-2")
    back = channel.rolled_back(9, "bo", "misses sirens")
    assert back.states == {"sound-1": "fleet", "sound-2": "withdrawn"}
    assert back.serial == channel.serial + 1
    assert (back.steps[-1].by, back.steps[-1].reason) == ("bo", "misses sirens")
    for state in ("shadow", "fleet"):
        with pytest.raises(BadStep, match="sound-2 is withdrawn"):
            back.moved("sound-2", state, 10, "bo")


def test_two_rollbacks_go_back_two_versions_and_a_third_is_refused() -> None:
    channel = _channel("sound-1", "sound-2", "sound-3").rolled_back(1, "bo").rolled_back(2, "bo")
    assert channel.version_in("fleet") == "sound-1"
    with pytest.raises(BadStep, match="sound-1 is the first of sound"):
        channel.rolled_back(3, "bo")


def test_a_withdrawn_version_must_begin_again_as_candidate() -> None:
    channel = _channel("sound-1", "sound-2").rolled_back(1, "bo")
    for state in ("candidate", "shadow", "fleet"):
        channel = channel.moved("sound-2", state, 2, "bo")
    assert channel.version_in("fleet") == "sound-2"


def test_what_is_unknown_or_serves_cannot_be_moved() -> None:
    channel = _channel("sound-1")
    with pytest.raises(BadStep, match="sound-9 is unknown in sound, known:"):
        channel.moved("sound-9", "shadow", 1, "bo")
    with pytest.raises(BadStep, match="sound-1 is fleet"):
        channel.moved("sound-1", "candidate", 1, "bo")
    with pytest.raises(BadStep, match="no version of air is in the fleet"):
        Channel(line="air").rolled_back(1, "bo")


def test_the_document_does_not_grow_for_ever() -> None:
    channel = _channel("sound-1").entered("sound-2", 0, "bo")
    for _ in range(MAX_STEPS):
        channel = channel.moved("sound-2", "shadow", 1, "bo").moved("sound-2", "candidate", 1, "bo")
    assert len(channel.steps) == MAX_STEPS
    assert channel.steps[-1].serial == channel.serial == 3 + 2 * MAX_STEPS
