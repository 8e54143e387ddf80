from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import BadInput
from tests.fakes import Fleet
from transforms.trust import RevocationList, Trust, load_ca, parse_revoked

FLEET = Fleet(11)


def test_certificates_are_cached_up_to_the_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def counting(der: bytes, ca: object) -> object:
        read.append(der)
        return genuine(der, ca)

    from transforms import trust as module

    genuine = module.read_certificate
    monkeypatch.setattr(module, "read_certificate", counting)
    trust = Trust(FLEET.ca, capacity=2)
    first, second, third = (FLEET.gateway(n).certificate for n in (1, 2, 3))
    for certificate in (first, second, first, first, third, first, second):
        trust.identity(certificate)
    assert read == [first, second, third, second], "the least recently used goes first"


def test_forged_certificates_do_not_fill_the_cache() -> None:
    trust = Trust(FLEET.ca, capacity=1)
    trust.identity(FLEET.gateway(1).certificate)
    with pytest.raises(BadInput, match="not one of this fleet"):
        trust.identity(Fleet(12).gateway(1).certificate)
    assert len(trust._known) == 1


def test_ca_is_loaded_from_pem_and_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(FLEET.ca_pem)
    assert load_ca(FLEET.ca_pem) == load_ca(str(path)) == FLEET.ca


def test_changed_list_is_read_again_and_a_broken_one_leaves_the_last_good_copy(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "revoked.txt"
    path.write_text("0a # stolen\n")
    revoked = RevocationList(str(path), lambda: now[0])
    assert revoked.serials() == {10}
    now[0] = 40.0
    assert revoked.age_s == 40.0
    _rewrite(path, "0a\nff\n", 100)
    assert revoked.refresh()
    assert (revoked.serials(), revoked.age_s) == ({10, 255}, 0.0)
    now[0] = 100.0
    _rewrite(path, "0a\nhalf a li", 200)
    assert not revoked.refresh()
    path.unlink()
    assert not revoked.refresh()
    assert (revoked.serials(), revoked.age_s) == ({10, 255}, 60.0)


def test_list_is_refreshed_in_the_background(tmp_path: Path) -> None:
    import time

    path = tmp_path / "revoked.txt"
    path.write_text("")
    revoked = RevocationList(str(path), time.monotonic)
    revoked.start(every_s=0.01)
    try:
        _rewrite(path, "07\n", 100)
        deadline = time.monotonic() + 5
        while revoked.serials() != {7} and time.monotonic() < deadline:
            time.sleep(0.01)
        assert revoked.serials() == {7}
    finally:
        revoked.stop()


def test_worker_does_not_start_without_its_list(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nowhere"):
        RevocationList(str(tmp_path / "nowhere"), lambda: 0.0)


def test_half_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_revoked("0a\nxyz\n")


def _rewrite(path: Path, text: str, stamp: int) -> None:
    path.write_text(text)
    os.utime(path, (stamp, stamp))
