"""Where the simulated homes stand: areas that share mains and masts, and whose network carries them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

from cryptography import x509

from schemas.roster import RosterEntry

AREAS: Final = ("Nord", "Ost", "Süd", "West")
AREA_HOMES: Final = 5
OPERATORS: Final = ("Fernnetz", "Stadtfunk", "Kabelweg")
TIMEZONE: Final = "Europe/Berlin"
BACKDATED: Final = dt.timedelta(hours=1)  # certificates: clocks of homes differ


def area_of(number: int) -> str:
    """
    >>> area_of(1), area_of(6), area_of(21)
    ('Nord', 'Ost', 'Nord')
    """
    return AREAS[(number - 1) // AREA_HOMES % len(AREAS)]


def operator_of(number: int) -> str:
    """
    >>> [operator_of(number) for number in (1, 2, 4)]
    ['Stadtfunk', 'Kabelweg', 'Stadtfunk']
    """
    return OPERATORS[number % len(OPERATORS)]


def roster_entry(home_id: str, gateway_id: str, certificate: Path) -> RosterEntry:
    """A home's line of the roster; it was enrolled when its gateway's certificate was made."""
    number = int(home_id.rsplit("-", 1)[1])
    issued = x509.load_der_x509_certificate(certificate.read_bytes())
    return RosterEntry(
        home_id=home_id,
        gateway_id=gateway_id,
        certificate_serial=f"{issued.serial_number:x}",
        region=area_of(number),
        operator=operator_of(number),
        timezone=TIMEZONE,
        enrolled_us=int((issued.not_valid_before_utc + BACKDATED).timestamp() * 1e6),
    )
