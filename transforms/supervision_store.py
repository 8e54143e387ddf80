"""Where supervision writes: the interface, one in memory for tests, one in Firestore.

Every call is idempotent, and what is older than what is written changes nothing: after a rollback of the
runner's state the same is told again from an earlier moment on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from google.cloud import firestore
from pydantic import BaseModel, ValidationError

from schemas.alarms import OPERATIONS
from schemas.homes import HOMES
from schemas.incidents import (
    INCIDENT_HOMES,
    INCIDENTS,
    LOSSES,
    SUPERVISION_DOCUMENT,
    HomeLosses,
    HomePath,
    Incident,
    Supervision,
)
from transforms.firestore_effects import RETRY, TIMEOUT_S, firestore_client

DOCUMENTS_A_CALL: Final = 400  # Firestore takes 500 writes


class SupervisionStore(Protocol):
    """What supervision does to documents.

    Raises:
        google.api_core.exceptions.GoogleAPIError: The store could not be reached: retry.
    """

    def paths(self, home_ids: Iterable[str]) -> dict[str, HomePath]:
        """What the homes' documents say; homes without a path are left out."""

    def put_paths(self, paths: Mapping[str, HomePath]) -> None:
        """Merge into the homes' documents."""

    def put_incident(self, incident: Incident) -> None:
        """Replace it."""

    def put_part(self, incident_id: str, part: str, home_ids: list[str]) -> None:
        """Write which homes joined an incident."""

    def put_losses(self, losses: HomeLosses) -> None:
        """Replace a home's."""

    def put_report(self, report: Supervision) -> None:
        """Replace operations/supervision."""

    def close(self) -> None:
        """Release connections."""


class MemorySupervision:
    """A `SupervisionStore` in dicts."""

    def __init__(self) -> None:
        self.homes: dict[str, HomePath] = {}
        self.incidents: dict[str, Incident] = {}
        self.parts: dict[str, dict[str, list[str]]] = {}
        self.losses: dict[str, HomeLosses] = {}
        self.report: Supervision | None = None

    def paths(self, home_ids: Iterable[str]) -> dict[str, HomePath]:
        return {home: self.homes[home] for home in home_ids if home in self.homes}

    def put_paths(self, paths: Mapping[str, HomePath]) -> None:
        self.homes.update(paths)

    def put_incident(self, incident: Incident) -> None:
        known = self.incidents.get(incident.incident_id)
        if known is None or known.updated_us <= incident.updated_us:
            self.incidents[incident.incident_id] = incident

    def put_part(self, incident_id: str, part: str, home_ids: list[str]) -> None:
        self.parts.setdefault(incident_id, {})[part] = home_ids

    def put_losses(self, losses: HomeLosses) -> None:
        known = self.losses.get(losses.home_id)
        if known is None or known.updated_us <= losses.updated_us:
            self.losses[losses.home_id] = losses

    def put_report(self, report: Supervision) -> None:
        if self.report is None or self.report.as_of_us <= report.as_of_us:
            self.report = report

    def close(self) -> None:
        pass


def firestore_supervision(project: str) -> FirestoreSupervision:
    """Project → store."""
    return FirestoreSupervision(firestore_client(project))


class FirestoreSupervision:
    """`SupervisionStore` in Firestore."""

    def __init__(self, client: firestore.Client) -> None:
        self._client = client

    def paths(self, home_ids: Iterable[str]) -> dict[str, HomePath]:
        homes = self._client.collection(HOMES)
        found = {}
        for some in _chunks(sorted(set(home_ids))):
            references = [homes.document(home) for home in some]
            for snapshot in self._client.get_all(references, retry=RETRY, timeout=TIMEOUT_S):
                try:
                    found[snapshot.id] = HomePath.model_validate(snapshot.to_dict() or {})
                except ValidationError:  # no document, or one that knows no path yet
                    continue
        return found

    def put_paths(self, paths: Mapping[str, HomePath]) -> None:
        homes = self._client.collection(HOMES)
        for some in _chunks(sorted(paths)):
            batch = self._client.batch()
            for home in some:
                batch.set(homes.document(home), paths[home].model_dump(mode="json"), merge=True)
            batch.commit(retry=RETRY, timeout=TIMEOUT_S)

    def put_incident(self, incident: Incident) -> None:
        self._put_newer(self._incident(incident.incident_id), incident, "updated_us")

    def put_part(self, incident_id: str, part: str, home_ids: list[str]) -> None:
        document = self._incident(incident_id).collection(INCIDENT_HOMES).document(part)
        document.set({"home_ids": home_ids}, retry=RETRY, timeout=TIMEOUT_S)

    def put_losses(self, losses: HomeLosses) -> None:
        self._put_newer(self._client.collection(LOSSES).document(losses.home_id), losses, "updated_us")

    def put_report(self, report: Supervision) -> None:
        document = self._client.collection(OPERATIONS).document(SUPERVISION_DOCUMENT)
        self._put_newer(document, report, "as_of_us")

    def close(self) -> None:
        self._client.close()

    def _put_newer(self, reference: firestore.DocumentReference, document: BaseModel, moment: str) -> None:
        known = reference.get([moment], retry=RETRY, timeout=TIMEOUT_S).to_dict() or {}
        if known.get(moment, 0) <= getattr(document, moment):
            reference.set(document.model_dump(mode="json"), retry=RETRY, timeout=TIMEOUT_S)

    def _incident(self, incident_id: str) -> firestore.DocumentReference:
        return self._client.collection(INCIDENTS).document(incident_id)


def _chunks(names: list[str]) -> Iterable[list[str]]:
    for at in range(0, len(names), DOCUMENTS_A_CALL):
        yield names[at : at + DOCUMENTS_A_CALL]
