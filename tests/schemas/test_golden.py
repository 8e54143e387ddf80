"""Golden files stop an incompatible change of anything that crosses a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from local.config import ROOT
from schemas import envelope
from schemas import hearthwatch_v1_pb2 as pb
from schemas.identity import read_certificate
from tests.schemas import pin


@pytest.mark.parametrize("name", sorted(pin.contracts()))
def test_contract_is_the_one_that_is_pinned(name: str) -> None:
    golden = json.loads((pin.GOLDEN / f"{name}_v1.json").read_text())
    now = json.loads(json.dumps(pin.contracts()[name]))
    gone = _missing(golden, now)
    assert not gone, f"incompatible: {gone} changed or vanished; readers of version 1 depend on it"
    assert now == golden, "additive change: pin it with `python -m tests.schemas.pin`"


def test_an_envelope_of_version_1_still_opens_to_the_same_content() -> None:
    ca = x509.load_der_x509_certificate(pin.FLEET_CA.read_bytes())
    parsed, header = envelope.parse_envelope(pin.ENVELOPE.read_bytes())
    identity = read_certificate(parsed.certificate, ca)
    envelope.verify_signature(parsed, identity.key)
    expected = pin.header()
    expected.schema_version, expected.codec, expected.body_size = 1, pb.CODEC_ZSTD, header.body_size
    assert header == expected
    assert envelope.open_body(parsed, header) == pin.body()
    assert (identity.home_id, identity.gateway_id) == ("home-1", "gw-1")


def test_every_field_is_set_in_the_pinned_envelope() -> None:
    _, header = envelope.parse_envelope(pin.ENVELOPE.read_bytes())
    assert {field.name for field, _ in header.ListFields()} == set(pb.Header.DESCRIPTOR.fields_by_name)


def test_generated_code_is_made_from_the_proto(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}"]
    subprocess.run([*command, "schemas/hearthwatch_v1.proto"], cwd=ROOT, check=True)
    made = (tmp_path / "schemas" / "hearthwatch_v1_pb2.py").read_text()
    assert made == (ROOT / "schemas" / "hearthwatch_v1_pb2.py").read_text(), "run `make proto`"


def _missing(golden: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(golden, dict) and isinstance(now, dict):
        return [
            problem
            for key, value in golden.items()
            for problem in (
                _missing(value, now[key], f"{path}.{key}") if key in now else [f"{path}.{key}".lstrip(".")]
            )
        ]
    if (
        isinstance(golden, list)
        and isinstance(now, list)
        and path.endswith((".required", ".enum", ".fields"))
    ):
        # A list that may grow: what stood in it must still stand there, by name where it has one.
        left = {json.dumps(item, sort_keys=True) for item in now}
        return [f"{path}: {item}" for item in golden if json.dumps(item, sort_keys=True) not in left]
    return [] if golden == now else [f"{path.lstrip('.')}: {golden} → {now}"]
