"""`hearthwatch-gateway --config FILE`: one gateway as a process of its own.

Exit codes: 0 stopped as asked, 1 broken while starting or running (a supervisor may restart it), 2 the
configuration or a file that it names is at fault (a restart will not help).
"""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from edge_client.clock import SystemClock
from edge_client.gateway import Gateway
from edge_client.identity import load_identity
from edge_client.policy import UplinkPolicy
from edge_client.prover import Prover
from edge_client.publisher import PubsubPublisher
from edge_client.read_config import NotChecked, read_config
from edge_client.users import hash_code
from schemas.errors import BadInput

EXIT_OK, EXIT_BROKEN, EXIT_CONFIG = 0, 1, 2
_log = logging.getLogger("edge_client")


def main(argv: list[str] | None = None) -> int:
    """Console script → exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        if arguments.hash_code:
            print(hash_code(getpass.getpass("Code (4 to 8 digits): "), os.urandom(8)))
            return EXIT_OK
        return _serve(arguments.config, check=arguments.check)
    except BadInput as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except NotChecked as error:
        print(error, file=sys.stderr)
        return EXIT_BROKEN


def _serve(path: Path, *, check: bool) -> int:
    config = read_config(path)
    load_identity(
        config.key_path, config.certificate_path, home_id=config.home_id, gateway_id=config.gateway_id
    )
    if check:
        print(f"{path}: good")
        return EXIT_OK
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    reread = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: reread.set())
    publisher = PubsubPublisher(config.pubsub.project)
    kind = Prover if config.synthetic else Gateway
    gateway = kind(config, clock=SystemClock(), publisher=publisher)
    try:
        gateway.start()
        _log.info("%s of %s is running", config.gateway_id, config.home_id)
        while not stopping.wait(1.0):
            if not gateway.healthy:
                _log.critical("%s: a thread ended", config.gateway_id)
                return EXIT_BROKEN
            if reread.is_set():
                reread.clear()
                _reread(path, gateway)
        return EXIT_OK
    finally:
        gateway.stop()
        publisher.close()


def _reread(path: Path, gateway: Gateway | Prover) -> None:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hearthwatch-gateway", description="A home's alarm gateway.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="configuration, .json or .toml")
    what.add_argument("--hash-code", action="store_true", help="ask for a keypad code, print its hash")
    parser.add_argument("--check", action="store_true", help="check configuration and identity, then stop")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
