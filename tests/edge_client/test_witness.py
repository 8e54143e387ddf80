"""The witness: what proves that an outbox was not put back, and what is no proof."""

import pytest

from edge_client.witness import Seen, Witness, boot_id, default_path

BOOT, EPOCH = b"b" * 36, bytes(range(16))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "outbox.witness"
    witness = Witness(path, BOOT)
    witness.record(EPOCH, 1)
    witness.record(EPOCH, 2**40)
    witness.close()
    return path


def test_same_boot_finds_what_was_recorded_last(path):
    assert Witness(path, BOOT).seen == Seen(EPOCH, 2**40)


@pytest.mark.parametrize("boot", [b"", b"c" * 36], ids=["unknown boot", "other boot"])
def test_other_boot_finds_nothing(path, boot):
    witness = Witness(path, boot)
    assert witness.seen is None
    witness.close()


def test_half_written_record_is_no_proof(path):
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert Witness(path, BOOT).seen is None


def test_file_that_others_may_write_is_no_proof(path):
    path.chmod(0o666)
    assert Witness(path, BOOT).seen is None


def test_link_is_not_followed(path):
    link = path.with_name("link")
    link.symlink_to(path)
    assert Witness(link, BOOT).seen is None


def test_place_that_cannot_be_written_means_a_new_epoch_each_time(tmp_path):
    witness = Witness(tmp_path / "nowhere" / "witness", BOOT)
    witness.record(EPOCH, 1)
    assert witness.seen is None
    witness.close()


def test_outboxes_have_witnesses_of_their_own_in_volatile_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_client.witness._VOLATILE", ("$NOWHERE", str(tmp_path)))
    one, two = (default_path(tmp_path / name) for name in ("a.db", "b.db"))
    assert one != two
    assert one.parent == tmp_path
    monkeypatch.setattr("edge_client.witness._VOLATILE", ())
    assert default_path(tmp_path / "a.db") == tmp_path / "a.db.witness"


def test_kernel_tells_one_boot_from_another():
    assert len(boot_id()) in (0, 36)
