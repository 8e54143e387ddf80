"""Hand a pipeline to its runner and stay with it: one job of a name, cancelled when we are told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import GoogleCloudOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2 as jobs
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.runner import PipelineState

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 20.0


def run_until_done(pipeline: beam.Pipeline) -> int:
    """Run and wait → exit code: 0 done or stopped by SIGTERM or Ctrl-C, 1 failed.

    A portable runner keeps a job whose driver died. A driver that is started again therefore first
    cancels what is left of its name, so that the lane is not read twice.
    """
    options = pipeline.options.view_as(PortableOptions)
    name = pipeline.options.view_as(GoogleCloudOptions).job_name
    if options.job_endpoint and name:
        cancel_jobs(options.job_endpoint, name)
    result = pipeline.run()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    waiter = threading.Thread(target=_wait, args=(result, stop), daemon=True)
    waiter.start()
    stop.wait()
    if not PipelineState.is_terminal(result.state):
        with contextlib.suppress(grpc.RpcError):  # an engine that is gone has nothing to cancel
            result.cancel()
        return 0
    return 0 if result.state in (PipelineState.DONE, PipelineState.CANCELLED) else 1


def cancel_jobs(endpoint: str, name: str) -> None:
    """Cancel every unfinished job of this name on a portable job service."""
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        for info in service.GetJobs(jobs.GetJobsRequest(), timeout=_TIMEOUT_S).job_info:
            state = jobs.JobState.Enum.Name(info.state)
            if info.job_name == name and not PipelineState.is_terminal(state):
                _LOG.warning("cancelling job %s, left by an earlier driver", info.job_id)
                service.Cancel(jobs.CancelJobRequest(job_id=info.job_id), timeout=_TIMEOUT_S)


def _wait(result: Any, stop: threading.Event) -> None:
    try:
        result.wait_until_finish()
    except (RuntimeError, grpc.RpcError) as error:
        _LOG.error("the job ended: %s", error)
    finally:
        stop.set()
