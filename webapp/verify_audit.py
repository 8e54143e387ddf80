"""Check the audit trail of a running system: `python -m webapp.verify_audit [--witness SEQ:HASH]`.

Exit status 0: whole; 1: tampered with, each fault on a line; 2: could not be read.
"""

from __future__ import annotations

import argparse
import sys

from schemas.audit import AnchoredHead
from webapp import audit
from webapp.app import firestore_client
from webapp.audit import Trail
from webapp.audit_store import AuditStore
from webapp.config import WebConfig
from webapp.errors import Unreachable


def faults_of(store: AuditStore, witness: AnchoredHead | None = None) -> tuple[Trail, list[str]]:
    """A trail that is being written to → what was read, and what is wrong with it for good.

    A look may see a head without its entry; what is still wrong at the second look is wrong.
    """
    trail = store.read()
    found = audit.verify(trail, witness)
    if found:
        trail = store.read()
        found = [fault for fault in audit.verify(trail, witness) if fault in set(found)]
    return trail, found


def main(argv: list[str] | None = None) -> int:
    """Print what is wrong; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m webapp.verify_audit", description="Check the audit trail."
    )
    parser.add_argument("--project-id", default=WebConfig().project_id, help="Firebase project")
    parser.add_argument(
        "--witness", type=_witness, metavar="SEQ:HASH", help="an anchor as the console's log has it"
    )
    given = parser.parse_args(argv)
    try:
        trail, faults = faults_of(AuditStore(firestore_client(given.project_id)), given.witness)
    except Unreachable as error:
        print(f"cannot read the audit trail: {error}", file=sys.stderr)
        return 2
    for fault in faults:
        print(fault)
    last = max(trail.anchors, key=lambda a: a.seq, default=None)
    anchored = f", last anchor {last.seq}:{last.hash}" if last else ", no anchor yet"
    verdict = f"{len(faults)} faults" if faults else "whole"
    print(f"{len(trail.entries)} entries in {len(trail.heads)} chains{anchored}: {verdict}")
    return 1 if faults else 0


def _witness(text: str) -> AnchoredHead:
    seq, _, digest = text.partition(":")
    if not seq.isdecimal() or len(digest) != 64:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not SEQ:HASH")
    return AnchoredHead(chain="anchors", seq=int(seq), hash=digest)


if __name__ == "__main__":
    sys.exit(main())
