"""What every page beside the console's own has in its frame."""

from __future__ import annotations

from typing import Any

from flask import g, request

from webapp.permissions import Power, may


def theme() -> str:
    """As the browser last chose it."""
    chosen = request.cookies.get("__Host-theme", request.cookies.get("theme"))
    return "light" if chosen == "light" else "dark"


def frame() -> dict[str, Any]:
    """Theme, name, and which pages this account may open."""
    role = g.session.role
    return {
        "theme": theme(),
        "name": g.session.name,
        "watches": may(role, Power.WATCH),
        "reports": may(role, Power.REPORT),
    }
