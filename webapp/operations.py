"""How the system itself fares: path, lag, silence, losses, dead letters, models. For engineers, too: no
name and no address is on this page."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from flask import Blueprint, current_app, jsonify, render_template

from schemas.incidents import UNEXPLAINED, HomeLosses
from webapp.asked import alarms, now_us
from webapp.dead_letters import DeadLetters
from webapp.errors import Unreachable
from webapp.lifecycle import SECOND_US
from webapp.page import frame
from webapp.permissions import Power, needs
from webapp.recorded import Recorder
from webapp.warehouse import Warehouse

log = logging.getLogger(__name__)
blueprint = Blueprint("operations", __name__, url_prefix="/operations")
SAMPLED_HOMES: Final = 20  # whose scores say which models run
MODELS_SPAN_US: Final = 3600 * SECOND_US
# Answers are shared by all pages of a process: twenty dispatchers ask no more than one.
FAST_S, SLOW_S = 4, 60
FAILED_S: Final = 20  # a silent service is not asked again by each page
WAIT_S: Final = 1.0  # for an answer that another page has asked for
_T = TypeVar("_T")


class Stores(NamedTuple):
    """What this page asks beside Firestore; None: not configured here."""

    letters: DeadLetters | None
    warehouse: Warehouse | None
    recorder: Recorder | None = None


class _Question:
    """`value` as of `as_of_us`, 0 for never; `error` as of `failed_us`, "" for none."""

    def __init__(self) -> None:
        self.asking = threading.Lock()
        self.value: Any = None
        self.error = ""
        self.as_of_us = self.failed_us = 0

    def told(self) -> dict[str, Any]:
        return {"error": self.error} if self.error else {"as_of_us": self.as_of_us, "value": self.value}


class Shared:
    """The last answer of each question, asked anew when it is older than its seconds. One page asks; the
    others get what is known, so that a silent service holds up one thread of the server and not all."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._questions: dict[str, _Question] = {}
        self._lock = threading.Lock()

    def answer(self, question: str, seconds: int, ask: Callable[[], Any]) -> dict[str, Any]:
        """`{as_of_us, value}`, or `{error}` if there is none: one silent service hides no other."""
        with self._lock:
            kept = self._questions.setdefault(question, _Question())
        if not kept.asking.acquire(timeout=WAIT_S):
            return kept.told() if kept.error or kept.as_of_us else {"error": "No answer yet."}
        try:
            now_us = self._clock()
            fresh = now_us - kept.as_of_us < seconds * SECOND_US
            failed = now_us - kept.failed_us < FAILED_S * SECOND_US
            if not fresh and not failed:
                self._ask(question, kept, ask)
            return kept.told()
        finally:
            kept.asking.release()

    def _ask(self, question: str, kept: _Question, ask: Callable[[], Any]) -> None:
        at_us = self._clock()
        try:
            kept.value, kept.error = ask(), ""
            kept.as_of_us, kept.failed_us = at_us, 0
        except Unreachable as error:
            log.warning("operations: %s: %s", question, error)
            kept.error, kept.failed_us = str(error), self._clock()


@blueprint.get("/")
@needs(Power.OPERATE, fresh=False)
def page() -> Any:
    """The frame; figures come from `state`."""
    limit_s = current_app.extensions["web_config"].path_limit_s
    return render_template("operations.html", path_limit_s=limit_s, **frame())


@blueprint.get("/state")
@needs(Power.OPERATE, fresh=False)
def state() -> Any:
    """Each figure with the moment that it speaks of."""
    shared: Shared = current_app.extensions["shared_answers"]
    stores: Stores = current_app.extensions["operations_stores"]
    store = current_app.extensions["watched"]
    at_us = now_us()

    def path() -> dict[str, Any]:
        return {lane: proof.model_dump() for lane, proof in alarms().path_proofs().items()}

    def watched() -> dict[str, Any]:
        found = store.watched()
        return {
            "incidents": [incident.document() for incident in found.incidents],
            "losses": [loss for home in found.losses for loss in rows_of(home)],
            "supervision": found.supervision.document() if found.supervision else None,
        }

    def letters() -> Any:
        found = stores.letters.rejected(at_us) if stores.letters else None
        return found and {"reasons": [reason._asdict() for reason in found.reasons], "more": found.more}

    def models() -> Any:
        if stores.warehouse is None:
            return None
        homes = alarms().some_homes(SAMPLED_HOMES)
        seen = stores.warehouse.models(homes, at_us - MODELS_SPAN_US) if homes else []
        return {"homes": len(homes), "seen": [model._asdict() for model in seen]}

    return jsonify(
        path=shared.answer("path", FAST_S, path),
        watched=shared.answer("watched", FAST_S, watched),
        letters=shared.answer("letters", SLOW_S, letters),
        models=shared.answer("models", SLOW_S, models),
        queue_live=current_app.extensions["live"].live,
        server_us=now_us(),
    )


def rows_of(home: HomeLosses) -> list[dict[str, Any]]:
    """What a home misses, without what came after all; the unexplained first, then the newest."""
    found = [loss for loss in home.losses if loss.state == "open"]
    found.sort(key=lambda loss: (loss.reason != UNEXPLAINED, -loss.to_us))
    return [
        {
            "home_id": home.home_id,
            "batches": loss.last_seq - loss.first_seq + 1,
            **loss.model_dump(include={"from_us", "to_us", "reason", "first_seq", "last_seq"}),
        }
        for loss in found
    ]
