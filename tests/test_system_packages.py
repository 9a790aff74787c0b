"""Who lacks what the tests need gets it, or is told in one sentence."""

import subprocess

from tests.system_packages import Need, settle


def test_nothing_is_installed_or_said_when_all_is_there() -> None:
    asked: list[list[str]] = []
    assert settle([Need("nftables", lambda: True, "partitions")], asked.append) == ""
    assert asked == []


def test_only_what_is_missing_is_installed() -> None:
    there = {"iproute2"}
    needs = [
        Need("iproute2", lambda: "iproute2" in there, "namespaces"),
        Need("nftables", lambda: "nftables" in there, "partitions"),
    ]
    assert settle(needs, there.update) == ""
    assert there == {"iproute2", "nftables"}


def test_one_sentence_names_package_and_purpose_when_nothing_can_install() -> None:
    said = settle([Need("wrk", lambda: False, "benchmarks")], None)
    assert said.startswith("the tests need wrk (benchmarks): install it")
    assert said.endswith("apt-get install wrk) and run this again.")


def test_one_sentence_says_so_when_the_installer_fails() -> None:
    def refuse(packages: list[str]) -> None:
        raise subprocess.CalledProcessError(100, ["apt-get", *packages])

    said = settle([Need("wrk", lambda: False, "benchmarks")], refuse)
    assert said == "apt-get could not install wrk: see above."
