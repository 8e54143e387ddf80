"""The way out: one small protocol, and Pub/Sub behind it over a thin gRPC channel.

The full Pub/Sub client costs 17 MB of memory and hides retries of its own (up to ten minutes); a
gateway has neither to spare, so the one method it needs is called directly. One publisher serves
all gateways of a process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from schemas.errors import BadInput

MAX_MESSAGE_BYTES: Final = 10 << 20  # of Pub/Sub
CLOUD_ENDPOINT: Final = "pubsub.googleapis.com:443"
_METHOD: Final = "/google.pubsub.v1.Publisher/Publish"


class PublishFailed(Exception):
    """Not confirmed, for a reason that may pass: network, outage, quota. Try again."""


class PublishRefused(Exception):
    """The service will not take this very message. Trying again at once would block its lane."""


class Publisher(Protocol):
    """Sends one message and returns when it is confirmed durable. Thread-safe."""

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str], timeout_s: float) -> str:
        """Message → its id at the service.

        Args:
            topic: Short name inside the project, such as "urgent".
            timeout_s: Seconds until the attempt counts as failed.

        Raises:
            PublishFailed: Worth another try later.
            PublishRefused: Refused for what it is.
        """

    def close(self) -> None:
        """Give the connection back."""


def _publish_types() -> tuple[Any, Any]:
    """The two messages of google.pubsub.v1.Publisher.Publish, field numbers as in its pubsub.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="hearthwatch_publish.proto", package="hearthwatch.publish")
    file.syntax = "proto3"
    message = file.message_type.add(name="Message")
    message.field.add(name="data", number=1, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    entry = message.nested_type.add(name="AttributesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    message.field.add(
        name="attributes",
        number=2,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".hearthwatch.publish.Message.AttributesEntry",
    )
    request = file.message_type.add(name="Request")
    request.field.add(name="topic", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    request.field.add(
        name="messages",
        number=2,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".hearthwatch.publish.Message",
    )
    response = file.message_type.add(name="Response")
    response.field.add(name="message_ids", number=1, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    classes = message_factory.GetMessages([file], pool=descriptor_pool.DescriptorPool())
    return classes["hearthwatch.publish.Request"], classes["hearthwatch.publish.Response"]


_Request, _Response = _publish_types()

# The service's word that the message itself is at fault.
_REFUSALS: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE})


class PubsubPublisher:
    """Publishes to the emulator at PUBSUB_EMULATOR_HOST if that is set, else to Pub/Sub itself."""

    def __init__(self, project: str, *, channel: grpc.Channel | None = None) -> None:
        """
        Args:
            project: Google Cloud project id.
            channel: To use instead of a new one.

        Raises:
            BadInput: Neither an emulator nor credentials are configured.
        """
        self._project = project
        self._channel = channel or _open_channel()
        self._call: Callable[..., Any] = self._channel.unary_unary(
            _METHOD,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=_Response.FromString,
        )

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str], timeout_s: float) -> str:
        """See `Publisher.publish`."""
        request = _Request(topic=f"projects/{self._project}/topics/{topic}")
        request.messages.add(data=data, attributes=dict(attributes))
        try:
            response = self._call(request, timeout=timeout_s)
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else None
            detail = error.details() if isinstance(error, grpc.Call) else str(error)
            kind = PublishRefused if code in _REFUSALS else PublishFailed
            raise kind(f"{topic}: {code.name if code else 'error'}: {detail}") from error
        if len(response.message_ids) != 1:
            raise PublishFailed(f"{topic}: {len(response.message_ids)} messages confirmed, sent 1")
        return str(response.message_ids[0])

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _open_channel() -> grpc.Channel:
    options = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # After an outage, find the way back within seconds; the lanes bring their own backoff.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # A router that forgot the connection is noticed by us, not by the next alarm.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if emulator:
        return grpc.insecure_channel(emulator, options)
    # 20 MB that a gateway against the emulator does without.
    import google.auth
    import google.auth.transport.grpc
    import google.auth.transport.requests

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/pubsub"])
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise BadInput(
            "no credentials for Pub/Sub: set GOOGLE_APPLICATION_CREDENTIALS, or PUBSUB_EMULATOR_HOST"
        ) from error
    request = google.auth.transport.requests.Request()
    secure: Callable[..., grpc.Channel] = google.auth.transport.grpc.secure_authorized_channel
    return secure(credentials, request, CLOUD_ENDPOINT, options=options)
