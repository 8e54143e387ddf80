"""Firestore through its REST interface as a browser reaches it: as somebody, under the rules."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import json
import time
from typing import Any, Final

NOW: Final = "request.time"  # a field that the server shall set to its clock


class Database:
    """One connection to the emulator's database of a project.

    Args:
        host: host:port.
    """

    def __init__(self, host: str, project: str) -> None:
        self._project = project
        self._root = f"projects/{project}/databases/(default)/documents"
        self._connection = http.client.HTTPConnection(host, timeout=20)

    def close(self) -> None:
        self._connection.close()

    def token(self, user: str, **claims: Any) -> str:
        """An ID token as the emulator takes it: unsigned."""
        now = int(time.time())
        issuer = f"https://securetoken.google.com/{self._project}"
        body = {
            "sub": user,
            "user_id": user,
            "aud": self._project,
            "iss": issuer,
            "iat": now,
            "exp": now + 3600,
        }
        parts = ({"alg": "none", "typ": "JWT"}, {**body, **claims})
        coded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        return ".".join(coded) + "."

    def get(self, token: str, path: str) -> bool:
        """Whether the rules let it be read; it need not be there."""
        return self._allowed(*self._ask(token, "GET", f"/v1/{self._root}/{path}"))

    def create(self, token: str, path: str, fields: dict[str, Any]) -> bool:
        return self._commit(token, path, fields, {"exists": False})

    def update(self, token: str, path: str, fields: dict[str, Any]) -> bool:
        return self._commit(token, path, fields, {"exists": True})

    def delete(self, token: str, path: str) -> bool:
        return self._write(token, {"delete": f"{self._root}/{path}"})

    def list(
        self, token: str, path: str, where: dict[str, str] | None = None, *, group: bool = False
    ) -> bool:
        """Whether a query may run over the collection; with `group` over all collections of its name."""
        parent, _, collection = path.rpartition("/")
        query: dict[str, Any] = {"from": [{"collectionId": collection, "allDescendants": group}]}
        filters = [
            {"fieldFilter": {"field": {"fieldPath": name}, "op": "EQUAL", "value": _value(value)}}
            for name, value in (where or {}).items()
        ]
        if filters:
            query["where"] = {"compositeFilter": {"op": "AND", "filters": filters}}
        where_from = f"/v1/{self._root}{'/' + parent if parent else ''}:runQuery"
        return self._allowed(*self._ask(token, "POST", where_from, {"structuredQuery": query}))

    def put(self, path: str, fields: dict[str, Any]) -> None:
        """As the server, to which rules do not apply."""
        assert self._commit("owner", path, fields, None)

    def remove(self, path: str) -> None:
        """As the server."""
        assert self.delete("owner", path)

    def coverage(self) -> dict[str, Any]:
        """The emulator's report: for each expression of the rules what it was evaluated to."""
        status, body = self._ask("owner", "GET", f"/emulator/v1/projects/{self._project}:ruleCoverage")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def _commit(self, token: str, path: str, fields: dict[str, Any], before: dict[str, bool] | None) -> bool:
        plain = {name: _value(value) for name, value in fields.items() if value is not NOW}
        write: dict[str, Any] = {"update": {"name": f"{self._root}/{path}", "fields": plain}}
        stamped = [name for name, value in fields.items() if value is NOW]
        write["updateTransforms"] = [
            {"fieldPath": name, "setToServerValue": "REQUEST_TIME"} for name in stamped
        ]
        if before is not None:
            write["currentDocument"] = before
        return self._write(token, write)

    def _write(self, token: str, write: dict[str, Any]) -> bool:
        return self._allowed(*self._ask(token, "POST", f"/v1/{self._root}:commit", {"writes": [write]}))

    def _allowed(self, status: int, body: bytes) -> bool:
        assert status in (200, 403, 404), f"{status}: {body[:400]!r}"
        return status != 403

    def _ask(self, token: str, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def _value(plain: Any) -> dict[str, Any]:
    if plain is None:
        return {"nullValue": None}
    if isinstance(plain, bool):
        return {"booleanValue": plain}
    if isinstance(plain, int):
        return {"integerValue": str(plain)}
    if isinstance(plain, float):
        return {"doubleValue": plain}
    if isinstance(plain, str):
        return {"stringValue": plain}
    if isinstance(plain, dt.datetime):
        return {"timestampValue": plain.isoformat().replace("+00:00", "Z")}
    if isinstance(plain, list):
        return {"arrayValue": {"values": [_value(one) for one in plain]}}
    return {"mapValue": {"fields": {name: _value(one) for name, one in plain.items()}}}
