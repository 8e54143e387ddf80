"""Work that may hang."""

import threading
import time

import pytest

from edge_client.patience import Hanging, Patience


@pytest.fixture
def patience():
    patience = Patience(0.2, "test")
    yield patience
    patience.end()


def test_result_and_error_come_back(patience):
    assert patience.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        patience.call(lambda: 1 / 0)
    with pytest.raises(TimeoutError):
        patience.call(lambda: (_ for _ in ()).throw(TimeoutError("its own")))


def test_what_hangs_is_not_waited_for_and_what_waits_behind_it_is_never_done(patience):
    answers, done = threading.Event(), []
    with pytest.raises(Hanging):
        patience.call(lambda: answers.wait(10) and done.append("first"))
    began_s = time.monotonic()
    for _ in range(10):
        with pytest.raises(Hanging):
            patience.call(lambda: done.append("behind"))
    assert time.monotonic() - began_s < 1.5, "at once"
    answers.set()
    time.sleep(0.2)
    assert patience.call(lambda: "again") == "again"
    assert done == ["first"]
