"""Run the console: gunicorn, one process, a thread for each open stream.

One process because it holds one Firestore listener; threads because a stream waits nearly always.
`python -m webapp.serve --port N`
"""

from __future__ import annotations

import argparse
import threading
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from webapp.app import create_app
from webapp.config import WebConfig

GRACE_S = 3


class StreamWorker(ThreadWorker):
    """Ends the streams first: else a stopping worker would wait for browsers that never hang up."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM."""
        if isinstance(self.wsgi, Flask):
            # Not from within the handler: the interrupted thread may hold the queue's lock.
            threading.Thread(target=self.wsgi.extensions["live"].stop, daemon=True).start()
        super().handle_exit(sig, frame)


class _Server(BaseApplication):
    def __init__(self, config: WebConfig) -> None:
        self._config = config
        super().__init__()

    def load_config(self) -> None:
        """Our settings → gunicorn's."""
        settings = {
            "bind": f"{self._config.host}:{self._config.port}",
            "workers": 1,
            "threads": self._config.threads,
            "worker_class": StreamWorker,
            "graceful_timeout": GRACE_S,
            "timeout": 60,
            "keepalive": 30,
            "proc_name": "hearthwatch-web",
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """In the worker, after the fork: gRPC does not survive one."""
        return create_app(self._config)


def main(argv: list[str] | None = None) -> None:
    """Parse the few flags; everything else comes from HEARTHWATCH_WEB_… (see `WebConfig`)."""
    parser = argparse.ArgumentParser(prog="python -m webapp.serve", description="The dispatcher's console.")
    parser.add_argument("--host", help="address to listen on (HEARTHWATCH_WEB_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on (HEARTHWATCH_WEB_PORT)")
    parser.add_argument("--project-id", help="Firebase project (HEARTHWATCH_WEB_PROJECT_ID)")
    given = {key: value for key, value in vars(parser.parse_args(argv)).items() if value is not None}
    _Server(WebConfig(**given)).run()


if __name__ == "__main__":
    main()
