"""One home's documents in Firestore: found by a walk over everything, removed, and looked for again.

Documents are the home's own if they carry its `home_id`, if their id begins with it, or if they belong to
such a document (sub-collections, the evidence index of its alarms). In any other document that names the
home (an incident of many) its entries are taken out and the rest stays.

The audit trail is not touched: it is append-only and chained, whoever cuts an entry out of it breaks the
proof of all the others. What it holds is counted and reported (docs/decisions/020-erasure.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from google.cloud import firestore

from schemas.alarms import ALARMS, EVIDENCE
from schemas.audit import AUDIT, AUDIT_ANCHORS, AUDIT_HEADS
from transforms.firestore_effects import RETRY, TIMEOUT_S
from transforms.home_search import HomeSearch

KEPT: Final = frozenset({AUDIT, AUDIT_HEADS, AUDIT_ANCHORS})


class Named(NamedTuple):
    """A document that names the home. `own`: all of it goes; otherwise `rest` is what stays."""

    path: str
    own: bool
    rest: dict[str, Any]


def take_out(value: Any, search: HomeSearch) -> Any:
    """Plain data without the entries of a home: list items and map keys that name it.

    >>> take_out({"homes": ["home-1", "home-2"], "by": {"home-1": 3}}, HomeSearch("home-1"))
    {'homes': ['home-2'], 'by': {}}
    """
    if isinstance(value, dict):
        return {
            key: take_out(one, search)
            for key, one in value.items()
            if not search.in_value(key) and not (isinstance(one, str) and search.in_value(one))
        }
    if isinstance(value, list):
        return [take_out(one, search) for one in value if not _entry_of(one, search)]
    return value


def _entry_of(one: Any, search: HomeSearch) -> bool:
    if isinstance(one, dict):
        return one.get("home_id") == search.home_id
    return isinstance(one, str) and search.in_value(one)


def find_documents(client: firestore.Client, search: HomeSearch) -> tuple[list[Named], int, int]:
    """Every document that names the home, how many there are, and how many of the audit trail name it."""
    found: list[Named] = []
    kept = scanned = 0
    alarms: set[str] = set()
    for collection in client.collections(retry=RETRY, timeout=TIMEOUT_S):
        for path, document in _walk(collection):
            scanned += 1
            own = document.get("home_id") == search.home_id or _is_id(path, search)
            if collection.id in KEPT:
                kept += own or search.in_value(path) or search.in_value(document)
                continue
            under = any(path.startswith(f"{named.path}/") for named in found if named.own)
            if own or under:
                found.append(Named(path, True, {}))
                if path.startswith(f"{ALARMS}/"):
                    alarms.add(path.split("/")[1])
            elif search.in_value(document):
                found.append(Named(path, False, take_out(document, search)))
    marks = client.collection(EVIDENCE).stream(retry=RETRY, timeout=TIMEOUT_S)
    known = {named.path for named in found}
    for mark in marks:
        path = mark.reference.path
        if (mark.to_dict() or {}).get("alarm_id") in alarms and path not in known:
            found.append(Named(path, True, {}))
    return found, scanned, kept


def erase_documents(client: firestore.Client, found: list[Named]) -> None:
    """Remove what `find_documents` found; sub-collections first, so that a rerun finds what is left."""
    for named in sorted(found, key=lambda one: -one.path.count("/")):
        reference = client.document(named.path)
        if named.own:
            reference.delete(retry=RETRY, timeout=TIMEOUT_S)
        else:
            reference.set(named.rest, retry=RETRY, timeout=TIMEOUT_S)


def _is_id(path: str, search: HomeSearch) -> bool:
    return any(part.split("~")[0] == search.home_id for part in path.split("/")[1::2])


def _walk(collection: firestore.CollectionReference) -> Iterator[tuple[str, dict[str, Any]]]:
    """Documents of a collection and of those below, parents first; also parents that do not exist."""
    present = {s.id: s.to_dict() or {} for s in collection.stream(retry=RETRY, timeout=TIMEOUT_S)}
    for reference in collection.list_documents(retry=RETRY, timeout=TIMEOUT_S):
        yield reference.path, present.get(reference.id, {})
        for below in reference.collections(retry=RETRY, timeout=TIMEOUT_S):
            yield from _walk(below)
