"""The Subscriber service of Pub/Sub: pull, acknowledge, extend, give back. Bare stubs, unary calls.

Why unary and not StreamingPull: a stream never says that it has nothing, and the source's watermark
lives on that answer (transforms/publish_frontier.py). docs/decisions/014-source.md has the figures.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1 import types as pubsub

_RPC_TIMEOUT_S: Final = 20.0
# The service answers an idle pull by itself (the emulator after 19 s). Ending it earlier could strand
# a message that is on its way until its deadline is over.
_PULL_TIMEOUT_S: Final = 120.0
_PROBE_TIMEOUT_S: Final = 5.0
_CHANNEL: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Received(NamedTuple):
    """A message that is leased to us.

    Attributes:
        publish_us: µs since 1970 UTC, the service's clock.
        attributes: `key=value`, sorted.
    """

    ack_id: str
    message_id: str
    publish_us: int
    attributes: list[str]
    data: bytes


class PubSubAway(Exception):
    """The service did not answer, or refused; the call may be tried again."""


class Subscriber(Protocol):
    """What a lease needs of Pub/Sub. Every method raises PubSubAway and blocks at most two minutes."""

    def pull(self, subscription: str, limit: int) -> list[Received]:
        """→ messages; waits for the first one as long as the service does, which may end with none."""

    def probe(self, subscription: str, limit: int) -> list[Received]:
        """→ messages that are there now; none says that none was waiting when the call arrived."""

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Never deliver these again."""

    def extend(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Do not redeliver these for so many seconds; 0: redeliver them now."""

    def reconnect(self) -> None:
        """Leave the connection: a dead one can look alive for a quarter of an hour."""


class SubscriberClient:
    """`Subscriber` over gRPC: no wrapping of each message, no limit of 4 MiB a response."""

    def __init__(self) -> None:
        self.reconnect()

    def reconnect(self) -> None:
        old = getattr(self, "_channel", None)
        self._channel = _open_channel()
        self._pull = self._method("Pull", pubsub.PullResponse.pb())
        self._acknowledge = self._method("Acknowledge", empty_pb2.Empty)
        self._modify = self._method("ModifyAckDeadline", empty_pb2.Empty)
        if old is not None:
            old.close()

    def pull(self, subscription: str, limit: int) -> list[Received]:
        request = pubsub.PullRequest.pb()(subscription=subscription, max_messages=limit)
        return self._receive(request, _PULL_TIMEOUT_S)

    def probe(self, subscription: str, limit: int) -> list[Received]:
        request = pubsub.PullRequest.pb()(
            subscription=subscription, max_messages=limit, return_immediately=True
        )
        return self._receive(request, _PROBE_TIMEOUT_S)

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        request = pubsub.AcknowledgeRequest.pb()(subscription=subscription, ack_ids=ack_ids)
        _call(self._acknowledge, request, _RPC_TIMEOUT_S)

    def extend(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        request = pubsub.ModifyAckDeadlineRequest.pb()(
            subscription=subscription, ack_ids=ack_ids, ack_deadline_seconds=seconds
        )
        _call(self._modify, request, _RPC_TIMEOUT_S)

    def _receive(self, request: Any, timeout_s: float) -> list[Received]:
        return [
            Received(
                ack_id=received.ack_id,
                message_id=received.message.message_id,
                publish_us=received.message.publish_time.ToMicroseconds(),
                attributes=[f"{key}={value}" for key, value in sorted(received.message.attributes.items())],
                data=received.message.data,
            )
            for received in _call(self._pull, request, timeout_s).received_messages
        ]

    def _method(self, name: str, response: Any) -> Any:
        return self._channel.unary_unary(
            f"/google.pubsub.v1.Subscriber/{name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response.FromString,
        )


def _call(method: Any, request: Any, timeout_s: float) -> Any:
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise PubSubAway(f"{error.code().name}: {error.details()}") from error
    except ValueError as error:  # gRPC's answer to a call on a channel that another thread closed
        raise PubSubAway(str(error)) from error


def _open_channel() -> grpc.Channel:
    host = os.environ.get("PUBSUB_EMULATOR_HOST")
    if host:
        # Clients in one process would else share a connection, and a dead one with it.
        return grpc.insecure_channel(host, options=[*_CHANNEL, ("grpc.use_local_subchannel_pool", 1)])
    import google.auth
    import google.auth.transport.grpc
    import google.auth.transport.requests

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/pubsub"])
    return google.auth.transport.grpc.secure_authorized_channel(
        credentials,
        google.auth.transport.requests.Request(),
        "pubsub.googleapis.com:443",
        options=_CHANNEL,
    )
