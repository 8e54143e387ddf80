"""A system of two small parts that starts in a second, for tests of the supervision."""

from __future__ import annotations

import sys
from pathlib import Path

from local import cli, parts, probes
from local.config import HOST, Settings, isolated

STAY_S = 60


def small_parts(settings: Settings, **changes: object) -> list[parts.Part]:
    """`store`, and `page` which needs it; each a file server of Python."""

    def server(name: str, field: str) -> parts.Part:
        port = getattr(settings, field)
        return parts.Part(
            name,
            f"Small {name}",
            [sys.executable, "-m", "http.server", str(port), f"--bind={HOST}"],
            probes.http(port),
            ports=[field],
            address=settings.address(port),
        )

    return [
        server("store", "gcs_port")._replace(**changes),
        server("page", "web_port")._replace(after=["store"]),
    ]


def small_settings(run: Path) -> Settings:
    """Free ports, a run folder of its own."""
    return isolated(run)


if __name__ == "__main__":
    # As `hearthwatch demo` does, with fewer parts: arguments are the run folder and the two ports.
    chosen = isolated(Path(sys.argv[1]), gcs_port=int(sys.argv[2]), web_port=int(sys.argv[3]))
    cli.foreground(chosen, lambda: small_parts(chosen), lambda _: cli._watch(chosen, STAY_S))
