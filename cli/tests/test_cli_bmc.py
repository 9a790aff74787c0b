"""`mur host bmc` and labels: what is shown, what is sent, and where a password never is."""

import io
from datetime import timedelta
from unittest.mock import patch

import msgspec

from murmuration.proto.mtce_bmc import (
    BmcPower,
    BmcSensor,
    BmcSensorState,
    BmcState,
    BmcView,
    FencePolicy,
    Proof,
    Release,
)
from murmuration.proto.sysinv import BmcProtocol, BmcTrust, HostBmc

from .conftest import NOW, Gateway, Mur
from .test_cli_commands import check_golden

DECLARED = HostBmc(
    protocol=BmcProtocol.REDFISH, address="10.0.0.11", user="admin", trust=BmcTrust.CA
)
VIEW = BmcView(
    host="worker-1",
    declared=DECLARED,
    secret_stored=True,
    state=BmcState(
        host="worker-1",
        reachable=True,
        power=BmcPower.OFF,
        protocol=BmcProtocol.REDFISH,
        serial="CZ1234",
        product="Server 9",
        firmware="U32",
        changed_at=NOW - timedelta(minutes=5),
        reason="the BMC of worker-1 answers by redfish: power off",
    ),
    sensors=(
        BmcSensor(
            name="Inlet",
            group="temperature",
            state=BmcSensorState.CRITICAL,
            value=91.0,
            unit="Cel",
        ),
        BmcSensor(name="Fan 2", group="fans", state=BmcSensorState.OFFLINE),
    ),
    release=Release(
        host="worker-1",
        boot_id="b1",
        episode=3,
        policy=FencePolicy.FAST,
        at=NOW,
        proof=Proof.POWER_OFF,
        evidence={},
        reason="worker-1 is released: its BMC said off twice",
    ),
)


def test_bmc_is_shown_with_access_power_sensors_and_release(gateway: Gateway, mur: Mur) -> None:
    gateway.bmc = VIEW
    check_golden("host-bmc-show", mur("host", "bmc", "show", "worker-1", "--utc").out)
    gateway.bmc = BmcView(host="worker-2")
    assert "worker-2 has no BMC" in mur("host", "bmc", "show", "worker-2").out


def test_bmc_is_declared_with_a_password_from_standard_input(gateway: Gateway, mur: Mur) -> None:
    words = ["--address", "10.0.0.11", "--user", "admin", "--pin", "AB:" * 31 + "ab"]
    with patch("sys.stdin", io.StringIO("very secret\n")):
        result = mur("host", "bmc", "set", "worker-1", *words, "--password-stdin")
    assert result.code == 0
    assert "very secret" not in result.out + result.err
    sent = msgspec.json.decode(gateway.last.body)
    assert gateway.last.path == "/api/v1/hosts/worker-1/bmc"
    assert (sent["password"], sent["bmc"]["pin"]) == ("very secret", "ab" * 32)


def test_bmc_is_not_declared_when_something_is_missing(mur: Mur) -> None:
    assert "address and a user" in mur("host", "bmc", "set", "worker-1").err
    there = ["--address", "10.0.0.11", "--user", "admin"]
    wrong = mur("host", "bmc", "set", "worker-1", *there, "--pin", "12", "--keep-password")
    assert (wrong.code, "no BMC" in wrong.err) == (2, True)
    with patch("sys.stdin", io.StringIO("")):
        assert "no terminal" in mur("host", "bmc", "set", "worker-1", *there).err


def test_bmc_is_cleared_and_hosts_are_labelled(gateway: Gateway, mur: Mur) -> None:
    assert mur("host", "bmc", "clear", "worker-1").code == 0
    assert gateway.last.method == "DELETE"
    assert mur("host", "label", "worker-1", "fence=fast,rack-").code == 0
    sent = msgspec.json.decode(gateway.last.body)
    assert (sent["labels"], sent["removed"]) == ({"fence": "fast"}, ["rack"])
    assert "no label" in mur("host", "label", "worker-1", "fence").err
