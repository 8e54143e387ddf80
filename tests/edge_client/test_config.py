"""The configuration file: what it takes, and what it says of a mistake."""

import json
import subprocess
import sys

import pytest

from edge_client.config_file import load_config
from edge_client.main import EXIT_CONFIG, EXIT_OK, main
from edge_client.users import hash_code
from schemas.errors import BadInput
from tests.edge_client.fakes import document, make_config, make_identity, write_identity


def write(folder, **changes):
    path = folder / "gateway.json"
    path.write_text(json.dumps(document(folder, **changes)))
    return path


def test_defaults_are_those_of_cp01(tmp_path):
    arming = load_config(write(tmp_path)).arming
    assert (arming.exit_delay_s, arming.entry_delay_s, arming.abort_window_s) == (60, 30, 30)
    assert (arming.swinger_trips, arming.settle_s) == (2, 60)


def test_toml_is_read_like_json(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(
        'home_id = "home-1"\ngateway_id = "gw-1"\nkey_path = "k"\ncertificate_path = "c"\n'
        '[pubsub]\nproject = "p"\n[outbox]\npath = "o.db"\n'
    )
    assert load_config(path).pubsub.urgent_topic == "urgent"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "red"}, ["colour", "red", "not permitted"]),
        ({"arming": {"exit_delay_s": 44}}, ["arming.exit_delay_s", "44", "45"]),
        ({"arming": {"exit_delay_s": 256}}, ["arming.exit_delay_s", "256", "255"]),
        ({"arming": {"entry_delay_s": 29}}, ["arming.entry_delay_s", "29", "30"]),
        ({"arming": {"abort_window_s": 46}}, ["arming.abort_window_s", "46", "45"]),
        (
            {"arming": {"entry_delay_s": 40, "abort_window_s": 30}},
            ["entry_delay_s + abort_window_s", "70", "60"],
        ),
        ({"arming": {"swinger_trips": 7}}, ["arming.swinger_trips", "7", "6"]),
        ({"arming": {"settle_s": 10}}, ["arming.settle_s", "10", "60"]),
        ({"outbox": {"path": "x", "max_bytes": 5}}, ["outbox.max_bytes", "5", "1048576"]),
        ({"broker": {"port": 70000}}, ["broker.port", "70000", "65535"]),
        ({"home_id": "a/b"}, ["home_id", "a/b", "letters"]),
        ({"pubsub": {}}, ["pubsub.project", "required"]),
        ({"sensors": [{"id": "a", "kind": "radar"}]}, ["sensors.0.kind", "radar", "motion"]),
        ({"sensors": [{"id": "a", "kind": "air", "role": "entry"}]}, ["sensors.0", "entry", "none"]),
        (
            {"sensors": [{"id": "a", "kind": "smoke", "near_cooking": True}]},
            ["sensors.0", "near_cooking", "smoke", "air"],
        ),
        ({"sensors": [{"id": "a", "kind": "air"}] * 2}, ["sensors", "id a more than once"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistake_names_field_value_and_bound(tmp_path, changes, words):
    with pytest.raises(BadInput) as caught:
        load_config(write(tmp_path, **changes))
    for word in words:
        assert word in str(caught.value)


def test_en50131_profile_bounds_the_entry_delay(tmp_path):
    slow = {"profile": "en50131", "entry_delay_s": 45, "abort_window_s": 15}
    assert load_config(write(tmp_path, arming=slow)).arming.entry_delay_s == 45
    with pytest.raises(BadInput, match="entry_delay_s"):
        load_config(write(tmp_path, arming={**slow, "entry_delay_s": 46}))


def test_code_hash_is_never_printed(tmp_path):
    with pytest.raises(BadInput) as caught:
        load_config(write(tmp_path, users=[{"id": "u", "code_hash": "secret"}]))
    assert "secret" not in str(caught.value)
    assert "code_hash" in str(caught.value)


@pytest.mark.parametrize("code", ["123", "123456789", "12a4", "１２３４"])
def test_code_outside_four_to_eight_digits_is_refused(code):
    with pytest.raises(BadInput, match="4 to 8 digits"):
        hash_code(code, b"saltsalt")


def test_check_accepts_a_good_file(tmp_path, capsys):
    write_identity(tmp_path, make_identity())
    assert main(["--config", str(write(tmp_path)), "--check"]) == EXIT_OK
    assert "good" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[]", b'"x"'], ids=["bytes", "cut", "list", "text"])
def test_file_that_is_no_configuration_ends_with_code_2(tmp_path, capsys, content):
    path = tmp_path / "gateway.json"
    path.write_bytes(content)
    assert main(["--config", str(path)]) == EXIT_CONFIG
    assert str(path) in capsys.readouterr().err


def test_identity_of_another_home_ends_with_code_2(tmp_path, capsys):
    write_identity(tmp_path, make_identity("home-2"))
    assert main(["--config", str(write(tmp_path))]) == EXIT_CONFIG
    assert "home-2" in capsys.readouterr().err


def test_key_and_certificate_have_to_belong_together(tmp_path, capsys):
    write_identity(tmp_path, make_identity())
    (tmp_path / "certificate.der").write_bytes(make_identity().certificate)
    assert main(["--config", str(write(tmp_path))]) == EXIT_CONFIG
    assert "is not for the key" in capsys.readouterr().err


def test_process_prints_the_mistake_without_traceback(tmp_path):
    path = write(tmp_path, arming={"exit_delay_s": 3})
    command = [sys.executable, "-m", "edge_client.main", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "exit_delay_s" in done.stderr
    assert "Traceback" not in done.stderr


def test_gateway_imports_neither_beam_nor_tensorflow_nor_the_pipeline():
    program = (
        "import sys, edge_client.main, edge_client.prover; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('apache_beam', 'tensorflow', 'ai_edge_litert', 'transforms', 'pipelines', 'webapp', 'local')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_running_gateway_keeps_no_validator_no_numpy_and_no_grpc():
    """They would be two fifths of its memory (docs/decisions/041-gateway-memory.md)."""
    program = (
        "import sys, edge_client.main, edge_client.prover; "
        "print({m.split('.')[0] for m in sys.modules} & {'pydantic', 'numpy', 'grpc', 'requests'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr


def test_adaptive_uplink_wants_a_bucket(tmp_path):
    with pytest.raises(ValueError, match=r"uplink.policy is adaptive, limit: needs objects.bucket"):
        make_config(tmp_path, uplink={"policy": "adaptive"})
    with pytest.raises(ValueError, match="period_s is 420, limit: whole minutes that divide an hour"):
        make_config(tmp_path, objects={"bucket": "b", "period_s": 420})
    assert (
        make_config(tmp_path, uplink={"policy": "adaptive"}, objects={"bucket": "b"}).objects.period_s == 3600
    )
