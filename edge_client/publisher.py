"""The way out: one small protocol, and Pub/Sub behind it by one gRPC method (channel.py).

The full Pub/Sub client and grpc cost 33 MB of memory, and the client hides retries of its own (up to ten
minutes); a gateway has neither to spare (decision 041). One publisher serves all gateways of a process. Each
topic has a connection of its own: an alarm never waits in a socket behind a minute.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from edge_client.channel import Caller, CallFailed, Target
from edge_client.cloud import Authorization, NoAccess
from schemas.errors import BadInput

MAX_MESSAGE_BYTES: Final = 10 << 20  # of Pub/Sub
CLOUD_HOST: Final = "pubsub.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/pubsub"
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
_REFUSALS: Final = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE"})


class PubsubPublisher:
    """Publishes to the emulator at PUBSUB_EMULATOR_HOST if that is set, else to Pub/Sub itself."""

    def __init__(self, project: str) -> None:
        """
        Args:
            project: Google Cloud project id.

        Raises:
            BadInput: Neither an emulator nor credentials are configured.
        """
        self._project = project
        target, self._authorize = _way_out()
        self._caller = Caller(target)

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str], timeout_s: float) -> str:
        """See `Publisher.publish`."""
        if len(data) > MAX_MESSAGE_BYTES:
            raise PublishRefused(f"{topic}: message is {len(data)} bytes, limit {MAX_MESSAGE_BYTES}")
        request = _Request(topic=f"projects/{self._project}/topics/{topic}")
        request.messages.add(data=data, attributes=dict(attributes))
        try:
            metadata = {name.lower(): value for name, value in self._authorize().items()}
            answer = self._caller.call(
                topic, _METHOD, request.SerializeToString(), metadata.items(), timeout_s
            )
            response = _Response.FromString(answer)
        except NoAccess as error:
            raise PublishFailed(f"{topic}: {error}") from error
        except DecodeError as error:
            raise PublishFailed(f"{topic}: confirmation cannot be read: {error}") from error
        except CallFailed as error:
            kind = PublishRefused if error.code in _REFUSALS else PublishFailed
            raise kind(f"{topic}: {error}") from error
        if len(response.message_ids) != 1:
            raise PublishFailed(f"{topic}: {len(response.message_ids)} messages confirmed, sent 1")
        return str(response.message_ids[0])

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()


def _way_out() -> tuple[Target, Callable[[], dict[str, str]]]:
    """Where to connect, and what yields the headers that let us in."""
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if emulator:
        host, _, port = emulator.rpartition(":")
        return Target(host, int(port), None), dict
    authorization = Authorization(_SCOPE)
    try:
        authorization.find()
    except NoAccess as error:
        raise BadInput(
            f"no credentials for Pub/Sub ({error}): "
            "set GOOGLE_APPLICATION_CREDENTIALS, or PUBSUB_EMULATOR_HOST"
        ) from error
    tls = ssl.create_default_context()
    tls.set_alpn_protocols(["h2"])
    return Target(CLOUD_HOST, 443, tls), authorization.header
