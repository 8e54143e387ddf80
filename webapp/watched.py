"""What supervision found, for the page: open incidents, losses, how many homes are watched, a home's path."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from flask import Blueprint, current_app, jsonify, request
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from schemas import incidents as docs
from schemas.alarms import OPERATIONS
from schemas.homes import HOMES
from schemas.incidents import HomeLosses, HomePath, Incident, Supervision
from schemas.queries import ONCE
from webapp.asked import now_us
from webapp.permissions import Power, needs
from webapp.reaching import READ_TIMEOUT_S, reaching
from webapp.reading import readable
from webapp.repository import document_of

blueprint = Blueprint("watched", __name__)
MAX_INCIDENTS: Final = 50
MAX_LOSSES: Final = 100


class Watched(NamedTuple):
    """What supervision says now. `losses`: homes in which something is missing without a reason."""

    incidents: list[Incident]
    losses: list[HomeLosses]
    supervision: Supervision | None


class WatchedHomes(Protocol):
    """Where the page asks. Every method raises `Unreachable` if it does not answer."""

    def watched(self) -> Watched: ...

    def path(self, home_id: str) -> HomePath | None: ...

    def losses(self, home_id: str) -> HomeLosses | None: ...


class FirestoreWatched:
    """`WatchedHomes` in Firestore."""

    def __init__(self, client: firestore.Client) -> None:
        self._client = client

    def watched(self) -> Watched:
        lasting = self._client.collection(docs.INCIDENTS).where(filter=FieldFilter("restored_us", "==", None))
        missing = self._client.collection(docs.LOSSES).where(filter=FieldFilter("unexplained", ">", 0))
        report = self._client.collection(OPERATIONS).document(docs.SUPERVISION_DOCUMENT)
        with reaching():
            within: Any = {"timeout": READ_TIMEOUT_S, "retry": ONCE}
            incidents = [s.to_dict() for s in lasting.limit(MAX_INCIDENTS).stream(**within)]
            losses = [s.to_dict() for s in missing.limit(MAX_LOSSES).stream(**within)]
            supervision = report.get(timeout=READ_TIMEOUT_S, retry=None)
        return Watched(
            [one for one in (readable(Incident, document) for document in incidents) if one],
            [one for one in (readable(HomeLosses, document) for document in losses) if one],
            readable(Supervision, supervision.to_dict()) if supervision.exists else None,
        )

    def path(self, home_id: str) -> HomePath | None:
        """The home's path as supervision sees it; None: it was not looked at yet.

        Raises:
            NotFound: No home can have this id.
        """
        reference = document_of(self._client.collection(HOMES), home_id)
        with reaching():
            home = reference.get(timeout=READ_TIMEOUT_S, retry=None)
        known = home.to_dict() or {}
        return readable(HomePath, known) if "path_state" in known else None

    def losses(self, home_id: str) -> HomeLosses | None:
        """What a home's gateways numbered and did not bring; None: nothing ever.

        Raises:
            NotFound: No home can have this id.
        """
        reference = document_of(self._client.collection(docs.LOSSES), home_id)
        with reaching():
            found = reference.get(timeout=READ_TIMEOUT_S, retry=None)
        return readable(HomeLosses, found.to_dict()) if found.exists else None


@blueprint.get("/watched")
@needs(Power.WATCH, fresh=False)
def watched() -> Any:
    """Incidents that last, what is missing without a reason, and, of the home that is asked for, the path."""
    store: WatchedHomes = current_app.extensions["watched"]
    found = store.watched()
    home_id = request.args.get("home", "")
    path = store.path(home_id) if home_id else None
    return jsonify(
        incidents=[incident.document() for incident in found.incidents],
        losses={
            "homes": len(found.losses),
            "batches": sum(
                loss.last_seq - loss.first_seq + 1
                for home in found.losses
                for loss in home.losses
                if loss.reason == docs.UNEXPLAINED
            ),
        },
        supervision=found.supervision.document() if found.supervision else None,
        path=path.model_dump(mode="json") if path else None,
        server_us=now_us(),
    )
