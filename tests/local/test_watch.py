"""When a part has ended beyond restart."""

import pytest

from local.watch import RESTARTS_MAX, WITHIN_S, Verdict


@pytest.fixture
def verdict() -> Verdict:
    return Verdict(
        {
            "service": {"restartable": True, "finishes": False},
            "memory": {"restartable": False, "finishes": False},
            "homes": {"restartable": True, "finishes": True},
        }
    )


def ends(
    verdict: Verdict, name: str, now_s: float = 0.0, *, fatal: bool = False, expected: bool = False
) -> str:
    return verdict.ended(name, fatal=fatal, expected=expected, now_s=now_s)


def test_a_service_may_end_a_few_times(verdict: Verdict) -> None:
    assert [ends(verdict, "service", now_s=i) for i in range(RESTARTS_MAX)] == [""] * RESTARTS_MAX


def test_one_end_more_within_the_time_stops_the_system(verdict: Verdict) -> None:
    for i in range(RESTARTS_MAX):
        ends(verdict, "service", now_s=i)
    assert f"ended {RESTARTS_MAX + 1} times" in ends(verdict, "service", now_s=WITHIN_S)


def test_old_ends_are_forgotten(verdict: Verdict) -> None:
    for i in range(RESTARTS_MAX):
        ends(verdict, "service", now_s=i)
    assert ends(verdict, "service", now_s=RESTARTS_MAX + WITHIN_S) == ""


def test_a_service_that_ends_without_error_counts_as_well(verdict: Verdict) -> None:
    for i in range(RESTARTS_MAX):
        ends(verdict, "service", now_s=i, expected=True)
    assert ends(verdict, "service", now_s=RESTARTS_MAX, expected=True)


def test_what_lives_in_memory_only_may_not_end_at_all(verdict: Verdict) -> None:
    assert "kept in memory" in ends(verdict, "memory")


def test_homes_may_finish_but_not_fail_for_ever(verdict: Verdict) -> None:
    assert ends(verdict, "homes", expected=True) == ""
    assert ends(verdict, "homes", fatal=True) == "could not be started"


def test_the_watcher_itself_is_no_part(verdict: Verdict) -> None:
    assert ends(verdict, "watch", fatal=True) == ""
