"""Let Beam's BigQuery clients of this process talk to the stand-in where the environment names one.

`google.cloud.bigquery` honours BIGQUERY_EMULATOR_HOST by itself; Beam also has an older client and one of
the Storage Read API, which honour nothing. Without those variables this changes nothing.
"""

from __future__ import annotations

import os
from typing import Any

import google.auth
import grpc
from apache_beam.io.gcp import bigquery as beam_bigquery
from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

REST = "BIGQUERY_EMULATOR_HOST"
READ = "BIGQUERY_STORAGE_EMULATOR_HOST"


def use_stand_in() -> bool:
    """Whether the environment names a stand-in; then this process' clients talk to it."""
    rest, read = os.environ.get(REST), os.environ.get(READ)
    if rest:
        project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        google.auth.default = lambda *_, **__: (AnonymousCredentials(), project)  # else a look for 20 s
        BigqueryV2.BASE_URL = f"{rest.rstrip('/')}/bigquery/v2/"
    if read and not getattr(beam_bigquery.bq_storage.BigQueryReadClient, "stands_in", False):
        standing_in = _reader(beam_bigquery.bq_storage.BigQueryReadClient, read)
        setattr(beam_bigquery.bq_storage, "BigQueryReadClient", standing_in)  # noqa: B010
    return bool(rest or read)


def _reader(real: Any, address: str) -> Any:
    class Reader(real):
        """The Storage Read API's client on a plain channel."""

        stands_in = True

        def __init__(self, *_: Any, **__: Any) -> None:
            channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
            super().__init__(transport=BigQueryReadGrpcTransport(channel=channel))

    return Reader
