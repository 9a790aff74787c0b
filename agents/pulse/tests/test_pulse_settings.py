"""pulse.json is read with care: what is wrong is named, what is of another boot is passed over."""

import json
from typing import Any

import pytest

from murmuration.proto.pulse import subject
from murmuration.pulse.settings import parse
from murmuration.security.ed25519 import fresh_user_seed

SEED = fresh_user_seed(bytes(range(32)))
JWT = "eyJ0.eyJq-_.c2ln"
GOOD: dict[str, Any] = {
    "host": "worker-1",
    "index": 7,
    "shard": 3,
    "period_ms": 100,
    "key": "ab" * 32,
    "boot_id": "6b1f2e0a-6a52-4a8e-9d0b-1f2e0a6a524a",
    "kernel_boot_id": "k1",
    "bus": {"host": "127.0.0.1", "port": 4222, "jwt": JWT, "seed": SEED},
    "udp": [["127.0.0.1", 8790], ["::1", 8790]],
}


def test_settings_hold_what_the_file_says() -> None:
    found = parse(json.dumps(GOOD, indent=1) + "\n", "k1")

    assert found is not None
    assert found.subject == subject(3, 7)
    assert found.key == b"\xab" * 32
    assert found.login == ("127.0.0.1", 4222, False, JWT, SEED)
    assert found.udp == [("127.0.0.1", 8790), ("::1", 8790)]


def test_file_of_an_earlier_kernel_boot_is_passed_over() -> None:
    assert parse(json.dumps(GOOD), "k2") is None


def test_file_without_kernel_boot_is_good_under_any() -> None:
    assert parse(json.dumps(GOOD | {"kernel_boot_id": ""}), "k2") is not None
    assert parse(json.dumps({k: v for k, v in GOOD.items() if k != "kernel_boot_id"}), "k2")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"index": 100_000}, "index"),
        ({"index": True}, "index"),
        ({"shard": -1}, "shard"),
        ({"period_ms": 49}, "period_ms"),
        ({"key": ""}, "key"),
        ({"key": "ab" * 33}, "key"),
        ({"boot_id": "ab"}, "boot_id"),
        ({"bus": "nats"}, "bus"),
        ({"bus": GOOD["bus"] | {"port": 0}}, "port"),
        ({"bus": GOOD["bus"] | {"host": "nats.example"}}, "host"),
        ({"udp": [["127.0.0.1"]]}, "udp"),
        ({"udp": [["controller", 8790]]}, "udp"),
        ({"udp": [["127.0.0.1", 8790]] * 9}, "udp"),
    ],
)
def test_file_is_refused_naming_the_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse(json.dumps(GOOD | change), "k1")


@pytest.mark.parametrize("text", ["", "{", "[]", "nonsense", '{"host": }', "{} {}"])
def test_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text, "k1")
