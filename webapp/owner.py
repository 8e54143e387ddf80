"""The owner's app as this server sees it: a page, its service worker, the Firebase SDK, and history.

No session: the app signs in to Firebase and reads Firestore under rules. History alone comes from here, out
of the warehouse, and is given to an account's own homes only.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, abort, current_app, jsonify, render_template, request, url_for

from schemas.owners import CONSENT_VERSION, LANGUAGES, MAX_NOTE_CHARS, WATCHED_US
from webapp.config import WebConfig
from webapp.errors import Forbidden, SignInRefused, Unreachable
from webapp.limits import check_history

blueprint = Blueprint("owner", __name__, url_prefix="/owner")
STATIC: Final = Path(__file__).parent / "static"
SDK_FILES: Final = frozenset(f"firebase-{part}.js" for part in ("app", "auth", "firestore", "messaging"))
# The SDK's files import each other from Google's server; from here they come from here.
ELSEWHERE: Final = re.compile(rb"https://www\.gstatic\.com/firebasejs/[0-9.]+/")
HISTORIES: Final = 6  # at once; fewer than the warehouse takes, so that some places are the console's
HISTORY_US: Final = 24 * 3600 * 1_000_000
SDK_KEPT_S: Final = 3600
# The page and everything that it needs to start without a network.
SHELL: Final = ("icon.svg", "js/dom.js")


@blueprint.get("/")
def page() -> Any:
    """The shell; the app fills it."""
    return render_template("owner.html", settings=_settings(), languages=LANGUAGES)


@blueprint.get("/service_worker.js")
def worker() -> Any:
    """The service worker with the list of what it keeps; another build is another worker."""
    kept = [
        url_for("owner.page"),
        *_assets(),
        *(url_for("owner.sdk", name=name) for name in sorted(SDK_FILES)),
    ]
    text = (STATIC / "owner" / "service_worker.js").read_text()
    head = f"const BUILD = {json.dumps(_build())};\nconst KEPT = {json.dumps(kept)};\n"
    return Response(head + text, mimetype="text/javascript")


@blueprint.get("/manifest.json")
def manifest() -> Any:
    """What an installed app is called and looks like."""
    icons = [
        {"src": url_for("static", filename="icon.svg"), "sizes": "any", "type": "image/svg+xml"},
        *(
            {
                "src": url_for("static", filename=f"owner/icon-{size}.png"),
                "sizes": f"{size}x{size}",
                "type": "image/png",
                "purpose": "any maskable",
            }
            for size in (192, 512)
        ),
    ]
    return jsonify(
        id="/owner/",
        name="Hearthwatch",
        short_name="Hearthwatch",
        start_url=url_for("owner.page"),
        scope=url_for("owner.page"),
        display="standalone",
        background_color="#f6f7f9",
        theme_color="#f6f7f9",
        icons=icons,
    )


@blueprint.get("/sdk/<name>")
def sdk(name: str) -> Any:
    """A file of the SDK."""
    folder = current_app.extensions["web_config"].sdk
    if name not in SDK_FILES or not folder:
        abort(404, "No such file.")
    plain, packed = _sdk_file(str(Path(folder) / name))
    may_pack = request.accept_encodings.quality("gzip") > 0
    response = Response(packed if may_pack else plain, mimetype="text/javascript")
    if may_pack:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = f"public, max-age={SDK_KEPT_S}"
    return response


@blueprint.get("/history/<home_id>/<sensor_id>")
def history(home_id: str, sensor_id: str) -> Any:
    """A sensor's last 24 hours, minute by minute, for an owner of the home."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not token:
        raise SignInRefused("Please sign in.")
    with _place():
        owner = current_app.extensions["accounts"].owner(token)
        check_history(owner.user)
        if home_id not in owner.homes:
            raise Forbidden("This is not a home of yours.")
        warehouse = current_app.extensions["operations_stores"].warehouse
        if warehouse is None:
            abort(404, "No history is kept here.")
        since_us = current_app.extensions["clock"]() - HISTORY_US
        minutes = warehouse.history(home_id, sensor_id, since_us)
    return jsonify(since_us=since_us, minutes=[minute._asdict() for minute in minutes])


@contextlib.contextmanager
def _place() -> Iterator[None]:
    """Owners' histories may wait for Firebase and BigQuery on a few of the server's threads only: the others
    are the dispatchers'."""
    places: threading.BoundedSemaphore = current_app.extensions["history_places"]
    if not places.acquire(blocking=False):
        raise Unreachable(f"{HISTORIES} histories are asked for already")
    try:
        yield
    finally:
        places.release()


def _settings() -> dict[str, Any]:
    web: WebConfig = current_app.extensions["web_config"]
    return {
        "firebase": {
            "projectId": web.project_id,
            "apiKey": web.api_key,
            "appId": web.app_id,
            "messagingSenderId": web.sender_id,
        },
        "auth_emulator": web.auth_emulator,
        "firestore_emulator": web.firestore_emulator,
        "vapid_key": web.vapid_key,
        "path_limit_s": web.path_limit_s,
        "watched_s": WATCHED_US // 1_000_000,
        "consent_version": CONSENT_VERSION,
        "max_note_chars": MAX_NOTE_CHARS,
        "build": _build(),
    }


def _assets() -> list[str]:
    own = sorted(
        f"owner/{file.name}" for file in (STATIC / "owner").iterdir() if file.name != "service_worker.js"
    )
    return [url_for("static", filename=name) for name in sorted({*SHELL, *own})]


@functools.cache
def _build() -> str:
    """Names everything that the service worker keeps, by content."""
    digest = hashlib.sha256((Path(__file__).parent / "templates" / "owner.html").read_bytes())
    for file in sorted([*(STATIC / "owner").iterdir(), *(STATIC / name for name in SHELL)]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def _sdk_file(path: str) -> tuple[bytes, bytes]:
    """Bytes to serve, plain and packed."""
    plain = ELSEWHERE.sub(b"./", Path(path).read_bytes())
    plain = re.sub(rb"\n//# sourceMappingURL=\S+\s*$", b"\n", plain)
    return plain, gzip.compress(plain, 6)
