"""The report's page and file: days in UTC, at most a quarter of a year."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, NamedTuple

from flask import Blueprint, Response, render_template, request

from schemas.errors import BadInput
from webapp import report as figures
from webapp.asked import alarms, now_us
from webapp.console import CLOSE_OUT_WORDS
from webapp.page import frame
from webapp.permissions import Power, needs
from webapp.report import Report

blueprint = Blueprint("reports", __name__)
MAX_DAYS: Final = 92
EARLIEST: Final = dt.date(2020, 1, 1)
MAX_FALSE: Final = 300  # alarms whose evidence is read


class _Period(NamedTuple):
    first: dt.date
    last: dt.date

    @property
    def span_us(self) -> tuple[int, int]:
        return _midnight_us(self.first), _midnight_us(self.last + dt.timedelta(days=1))


@blueprint.get("/report")
@needs(Power.REPORT)
def page() -> Any:
    """Handling times and false alarms of a period."""
    period = _period()
    return render_template(
        "report.html",
        made=_made(period),
        period=period,
        targets=figures.TARGETS,
        codes={code.value: words for code, words in CLOSE_OUT_WORDS.items()},
        read=MAX_FALSE,
        **frame(),
    )


@blueprint.get("/report.csv")
@needs(Power.REPORT)
def table() -> Response:
    """The same as a file."""
    period = _period()
    name = f"hearthwatch-{period.first}-{period.last}.csv"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(figures.as_csv(_made(period)), mimetype="text/csv", headers=disposition)


def _made(period: _Period) -> Report:
    found = alarms().opened_between(*period.span_us)
    false = sorted((a for a in found if figures.is_false(a)), key=lambda a: -a.opened_us)[:MAX_FALSE]
    sources = {a.alarm_id: alarms().source(a.alarm_id) for a in false}
    return figures.report(found, sources, now_us())


def _period() -> _Period:
    today = dt.datetime.fromtimestamp(now_us() / 1e6, dt.UTC).date()
    last = _day("to", today, today)
    first = _day("from", last - dt.timedelta(days=6), today)
    days = (last - first).days + 1
    if not 1 <= days <= MAX_DAYS:
        raise BadInput(f"the period has {days} days, limits 1 and {MAX_DAYS}")
    return _Period(first, last)


def _day(name: str, default: dt.date, today: dt.date) -> dt.date:
    given = request.args.get(name, "")
    try:
        day = dt.date.fromisoformat(given) if given else default
    except ValueError as error:
        raise BadInput(f"{name} is {given[:40]!r}, not a day like 2026-03-01") from error
    if not EARLIEST <= day <= today:
        raise BadInput(f"{name} is {day}, limits {EARLIEST} and {today}")
    return day


def _midnight_us(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()) * 1_000_000
