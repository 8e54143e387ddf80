"""A gateway as a process of its own: from its checked configuration to its end, by signals.

SIGTERM and SIGINT end it; SIGHUP has it read its file again.
"""

from __future__ import annotations

import dataclasses
import logging
import signal
import threading
from pathlib import Path

from edge_client.clock import SystemClock
from edge_client.config import GatewayConfig
from edge_client.gateway import Gateway
from edge_client.identity import load_identity
from edge_client.policy import UplinkPolicy
from edge_client.prover import Prover
from edge_client.publisher import PubsubPublisher
from edge_client.read_config import NotChecked, read_config
from schemas.errors import BadInput

_log = logging.getLogger("edge_client")


def check_identity(config: GatewayConfig) -> None:
    """
    Raises:
        BadInput: A file that the configuration names is at fault.
    """
    load_identity(
        config.key_path, config.certificate_path, home_id=config.home_id, gateway_id=config.gateway_id
    )


def serve(path: Path, config: GatewayConfig) -> bool:
    """Run until a signal ends it → whether it was in order until then; False: a thread ended.

    Args:
        path: Where `config` is from.

    Raises:
        BadInput: A file that the configuration names is at fault, or there are no credentials.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    wanted = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: wanted.set())
    check_identity(config)
    publisher = PubsubPublisher(config.pubsub.project)
    kind = Prover if config.synthetic else Gateway
    gateway = kind(config, clock=SystemClock(), publisher=publisher)
    try:
        gateway.start()
        _log.info("%s of %s is running", config.gateway_id, config.home_id)
        while not stopping.wait(1.0):
            if not gateway.healthy:
                _log.critical("%s: a thread ended", config.gateway_id)
                return False
            if wanted.is_set():
                wanted.clear()
                reread(path, gateway)
        return True
    finally:
        gateway.stop()
        publisher.close()


def reread(path: Path, gateway: Gateway | Prover) -> None:
    """SIGHUP: take over what can change while it runs, the uplink policy of a home's gateway.

    A mistake in the file, or a check that breaks, changes nothing and is logged.
    """
    try:
        config = read_config(path)
        if isinstance(gateway, Gateway):
            gateway.set_uplink(UplinkPolicy(config.uplink.policy))
    except (BadInput, NotChecked) as error:
        _log.error("not taken over: %s", error)
        return
    uplink = dataclasses.replace(config.uplink, policy=gateway.config.uplink.policy)
    if dataclasses.replace(config, uplink=uplink) != gateway.config:
        _log.warning("%s: only uplink.policy was taken over, the rest needs a restart", path)
