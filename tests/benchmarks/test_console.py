"""What the console's benchmark counts as lost."""

from __future__ import annotations

import socket

from benchmarks.alarm_load import Write
from benchmarks.dispatchers import Dispatchers, Heard, missed_of


def heard(shown: dict[str, int], *told: str) -> Heard:
    return Heard(shown, {key: [(1, 1)] for key in told}, 0, 1, 1, True, [])


def opened(*keys: str) -> list[Write]:
    return [Write("opened", key, 1, 1) for key in keys]


def test_an_alarm_that_was_over_before_a_list_came_to_it_is_not_lost() -> None:
    writes = [*opened("a", "b"), Write("closed", "b", 2, 2)]
    missed = missed_of(writes, {"a": 1}, [heard({"a": 1}, "a")], [{"a": 1, "b": 1}], [["a"]])
    assert missed == (0, 1)


def test_an_open_alarm_that_a_page_never_painted_is_lost() -> None:
    assert missed_of(opened("a"), {"a": 1}, [heard({"a": 1}, "a")], [{}], [["a"]]) == (1, 0)


def test_a_list_that_is_not_what_the_database_says_is_lost() -> None:
    truth = {"a": 2}
    assert missed_of([], truth, [heard({"a": 1}), heard({"a": 2})], [], [["a"], ["a", "ghost"]]) == (2, 0)


def test_streams_go_on_while_nobody_asks_what_was_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        dispatchers = Dispatchers("127.0.0.1", server.getsockname()[1], ["cookie"])
        try:
            connection, _ = server.accept()
            assert len(dispatchers.heard()) == 1
            connection.close()
            again, _ = server.accept()  # whoever waits for the next question opens nothing
            again.close()
        finally:
            dispatchers.close()
