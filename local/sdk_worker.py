"""The Python SDK worker that Flink starts: Beam's container `boot` without the container.

Flink runs the command of the PROCESS environment with --id and --provision_endpoint; this asks the
provision service for the endpoints and then becomes the worker, in this very process, so that
killing it kills the worker.
"""

from __future__ import annotations

import json
import os
import sys

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format


def main() -> None:
    """Read --id and --provision_endpoint from the command line and run until the runner lets go."""
    flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:] if argument.startswith("--"))
    worker_id = flags["id"]
    stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(
        grpc.insecure_channel(flags["provision_endpoint"])
    )
    info = stub.GetProvisionInfo(
        beam_provision_api_pb2.GetProvisionInfoRequest(), metadata=[("worker_id", worker_id)], timeout=30
    ).info
    os.environ.update(
        WORKER_ID=worker_id,
        LOGGING_API_SERVICE_DESCRIPTOR=f'url: "{info.logging_endpoint.url}"',
        CONTROL_API_SERVICE_DESCRIPTOR=f'url: "{info.control_endpoint.url}"',
        PIPELINE_OPTIONS=json.dumps(json_format.MessageToDict(info.pipeline_options)),
        RUNNER_CAPABILITIES=" ".join(info.runner_capabilities),
    )
    sdk_worker_main.main(sys.argv[:1])


if __name__ == "__main__":
    main()
