"""Messages as the pipeline reads them, for tests of transforms (imports Beam)."""

from __future__ import annotations

from tests.fakes import NOW_US
from transforms.elements import RawMessage


def raw_message(
    payload: bytes, *, lane: str = "minutes", publish_us: int = NOW_US, message_id: str = "m-1"
) -> RawMessage:
    """Sealed envelope → message published at `publish_us`."""
    return RawMessage(
        payload=payload,
        attributes=["home_id=home-0001", "gateway_id=gw-0001", f"lane={lane}"],
        message_id=message_id,
        publish_us=publish_us,
        lane=lane,
    )
