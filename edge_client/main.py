"""`hearthwatch-gateway --config FILE`: one gateway as a process of its own.

Exit codes: 0 stopped as asked, 1 broken while starting or running (a supervisor may restart it), 2 the
configuration or a file that it names is at fault (a restart will not help).
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from pathlib import Path

from edge_client.read_config import Check, NotChecked
from edge_client.users import hash_code
from schemas.errors import BadInput

EXIT_OK, EXIT_BROKEN, EXIT_CONFIG = 0, 1, 2


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
        return _run(arguments.config, only_check=arguments.check)
    except BadInput as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except NotChecked as error:
        print(error, file=sys.stderr)
        return EXIT_BROKEN


def _run(path: Path, *, only_check: bool) -> int:
    check = Check(path)
    # Here: the gateway's modules take about as long to import as the file takes to be checked.
    from edge_client.process import check_identity, serve

    config = check.config()
    if only_check:
        check_identity(config)
        print(f"{path}: good")
        return EXIT_OK
    return EXIT_OK if serve(path, config) else EXIT_BROKEN


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
