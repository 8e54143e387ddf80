"""The app factory."""

from __future__ import annotations

import datetime as dt
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import google.auth.credentials
from cryptography import x509
from flask import Flask, jsonify
from google.cloud import firestore
from werkzeug.exceptions import HTTPException

from schemas.errors import BadInput
from webapp import (
    actions,
    console,
    homes,
    limits,
    operations,
    owner,
    permissions,
    reports,
    stream,
    watched,
)
from webapp import auth as auth_blueprint
from webapp.accounts import Accounts, FirebaseAccounts
from webapp.config import WebConfig
from webapp.dead_letters import DeadLetters
from webapp.errors import Forbidden, NotFound, Refused, SignInRefused, Unreachable
from webapp.folders import open_folder
from webapp.live import LiveQueue
from webapp.operations import Shared, Stores
from webapp.permissions import Standing
from webapp.recorded import Recorder
from webapp.repository import AlarmRepository
from webapp.security import Guard
from webapp.sessions import FirestoreSessions, Sessions
from webapp.sweep import Sweeper
from webapp.warehouse import BigQueryWarehouse
from webapp.watched import FirestoreWatched, WatchedHomes

log = logging.getLogger(__name__)
MAX_BODY_BYTES = 64 * 1024
_STATUS: Final = {Refused: 409, BadInput: 400, NotFound: 404, SignInRefused: 401, Forbidden: 403}


def create_app(
    config: WebConfig,
    *,
    alarms: Any = None,
    clock: Callable[[], int] | None = None,
    auth: Accounts | None = None,
    sessions: Sessions | None = None,
    live: LiveQueue | None = None,
    supervised: WatchedHomes | None = None,
    stores: Stores | None = None,
) -> Flask:
    """Settings and, for tests, stand-ins → the app. The live queue and the sweeper run when this returns.

    Args:
        clock: µs since 1970 UTC.
        alarms, auth, sessions, supervised, live, stores: By default Firestore, Firebase Auth, Firestore
            twice, a queue that listens to `alarms`, and what `config` names. With a `live` that is given
            nothing is started here.
    """
    clock = clock or now_us
    if alarms is None or sessions is None or supervised is None:
        client = firestore_client(config.project_id)
        alarms = alarms or AlarmRepository(client)
        sessions = sessions or FirestoreSessions(client)
        supervised = supervised or FirestoreWatched(client)
    if live is None:
        live = LiveQueue(alarms, clock, boot=secrets.token_hex(4))
        live.start()
        Sweeper(alarms, live, clock).start()
    app = Flask(__name__)
    app.jinja_env.filters["clock"] = clock_words
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions |= {"web_config": config, "alarms": alarms, "clock": clock, "live": live}
    app.extensions["watched"] = supervised
    app.extensions["operations_stores"] = stores or open_stores(config)
    app.extensions["shared_answers"] = Shared(clock)
    app.extensions["history_places"] = threading.BoundedSemaphore(owner.HISTORIES)
    app.extensions["accounts"] = auth or FirebaseAccounts(config.project_id)
    Guard(app, config, sessions, clock)
    standing = Standing(app.extensions["accounts"], clock, config.revocation_grace_s)
    permissions.register(app, standing)
    _register(app, live)
    limits.register(app, config)
    return app


def _register(app: Flask, live: LiveQueue) -> None:
    for module in (auth_blueprint, console, actions, homes, operations, owner, reports, stream, watched):
        app.register_blueprint(module.blueprint)

    @app.get("/health")
    def health() -> Any:
        """For the supervisor: up, and whether the queue is live."""
        return jsonify(up=True, live=live.live)

    for kind, status in _STATUS.items():
        app.register_error_handler(kind, _answer(status))
    app.register_error_handler(HTTPException, lambda e: (jsonify(error=e.description), e.code))

    @app.errorhandler(Unreachable)
    def unreachable(error: Unreachable) -> Any:
        log.warning("unreachable: %s", error)
        return jsonify(error="The database does not answer. It is not known whether this was done."), 503


def open_stores(config: WebConfig) -> Stores:
    """Object storage and warehouse as configured."""
    output = config.output.rstrip("/")
    warehouse = BigQueryWarehouse(config.warehouse) if config.warehouse else None
    recorder = None
    if output and warehouse and config.fleet_ca:
        ca = x509.load_pem_x509_certificate(Path(config.fleet_ca).read_bytes())
        recorder = Recorder(open_folder(f"{output}/archive"), warehouse, ca)
    letters = DeadLetters(open_folder(f"{output}/dead_letters")) if output else None
    return Stores(letters, warehouse, recorder)


def clock_words(time_us: int) -> str:
    """For pages without a script: the time in UTC.

    >>> clock_words(1_790_000_000_000_000)
    '2026-09-21 14:13 UTC'
    """
    return dt.datetime.fromtimestamp(time_us / 1e6, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _answer(status: int) -> Callable[[Exception], Any]:
    return lambda error: (jsonify(error=str(error)), status)


def firestore_client(project_id: str) -> firestore.Client:
    """A client of the project; of the emulator if FIRESTORE_EMULATOR_HOST is set."""
    if os.environ.get("FIRESTORE_EMULATOR_HOST"):
        # Without any credential the client looks for one for 20 s.
        anonymous = google.auth.credentials.AnonymousCredentials()
        return firestore.Client(project_id, credentials=anonymous)
    return firestore.Client(project_id)


def now_us() -> int:
    """µs since 1970 UTC."""
    return time.time_ns() // 1000
