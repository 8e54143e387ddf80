"""When a message may be acknowledged: never before two commits, never if its bundle was undone."""

from __future__ import annotations

from transforms.held_bundles import REQUEST_S, Bundle, HeldBundles


class Source:
    """Bundles one after the other: each claims a place a message and one more."""

    def __init__(self) -> None:
        self.bundles = HeldBundles()
        self.place = 0

    def run(self, *ids: str, started: float, ended: float, token: object = None) -> bool:
        """A bundle that emits these → whether it asks for finalization."""
        start, self.place = self.place, self.place + len(ids) + 1
        self.bundles.begin(start)
        held = [(started, ack_id) for ack_id in ids]
        return self.bundles.finished(Bundle(token or ids, start, self.place, started, held), ended)


def test_one_bundle_asks_at_a_time_and_speaks_for_those_before_it() -> None:
    source = Source()
    assert source.run("a", started=0.0, ended=1.0, token="first")
    assert not source.run("b", started=1.0, ended=2.0)
    assert source.bundles.finalize("first", 3.0) == []
    assert source.run("c", started=3.5, ended=4.0, token="second")
    # "b" finished before the second bundle asked, but was not seen by a finalization yet.
    assert source.bundles.finalize("second", 5.0) == ["a"]
    assert source.run(started=6.0, ended=6.1, token="third")
    assert source.bundles.finalize("third", 7.0) == ["b", "c"]
    assert source.bundles.held() == []


def test_a_bundle_that_began_before_a_finalization_does_not_confirm_it() -> None:
    """Its commit may be of the same checkpoint."""
    source = Source()
    source.run("a", started=0.0, ended=1.0, token="first")
    source.bundles.finalize("first", 5.0)
    assert source.run("b", started=4.0, ended=6.0, token="beside")
    assert source.bundles.finalize("beside", 7.0) == []
    assert source.bundles.held() == [(0.0, "a"), (4.0, "b")]


def test_an_idle_source_asks_only_while_something_waits() -> None:
    source = Source()
    assert not source.run(started=0.0, ended=0.5)
    source.run("a", started=1.0, ended=2.0, token="first")
    source.bundles.finalize("first", 3.0)
    assert source.run(started=4.0, ended=4.5, token="idle")
    assert source.bundles.finalize("idle", 5.0) == ["a"]
    assert not source.run(started=6.0, ended=6.5)


def test_a_request_that_the_engine_forgot_is_made_again() -> None:
    source = Source()
    source.run("a", started=0.0, ended=1.0, token="forgotten")
    assert not source.run("b", started=1.0, ended=REQUEST_S)
    assert source.run("c", started=REQUEST_S, ended=1.0 + REQUEST_S)


def test_what_was_undone_is_given_up_and_never_acknowledged() -> None:
    source = Source()
    source.run("a", started=0.0, ended=1.0, token="first")
    source.bundles.finalize("first", 2.0)
    source.run("b", started=3.0, ended=4.0, token="second")
    assert source.bundles.begin(0) == ["b", "a"], "the engine went back to the start"
    assert source.bundles.finalize("second", 5.0) == []
    assert source.bundles.held() == []


def test_what_another_process_read_meanwhile_undoes_what_is_held_here() -> None:
    source = Source()
    source.run("a", started=0.0, ended=1.0)
    assert source.bundles.begin(source.place + 7) == ["a"]


def test_what_is_not_acknowledged_is_held_and_so_kept_from_redelivery() -> None:
    source = Source()
    source.run("a", started=0.0, ended=1.0, token="first")
    assert source.bundles.held() == [(0.0, "a")]
    source.bundles.finalize("first", 2.0)
    assert source.bundles.held() == [(0.0, "a")]
    assert source.bundles.count() == 1


def test_a_bundle_that_is_never_finalized_is_given_up_in_time() -> None:
    source = Source()
    source.run("a", started=10.0, ended=10.5)
    source.bundles.forget(oldest=9.0)
    assert source.bundles.held() == [(10.0, "a")]
    source.bundles.forget(oldest=11.0)
    assert source.bundles.held() == []


def test_a_failed_bundle_gives_up_its_messages_unless_it_was_finalized() -> None:
    source = Source()
    source.run("b", started=0.0, ended=1.0, token="committed")
    source.run("a", started=1.0, ended=1.5, token="failed")
    source.bundles.finalize("committed", 2.0)
    assert source.bundles.abandon("failed") == ["a"]
    assert source.bundles.abandon("committed") == []
    assert source.bundles.held() == [(0.0, "b")]
