"""What an operator may write, and what is said when it is wrong."""

from pathlib import Path

import pytest

from murmuration.proto.platform import SERVICES as CONTRACT_SERVICES
from murmuration.proto.platform import STATEFUL
from murmuration.sim.core.world import HOST_COUNT_MAX as SIMULATOR_HOST_COUNT_MAX
from murmuration.site import cli, hosts, layout, postgres, settings, sockets
from murmuration.site.errors import Refused
from murmuration.site.hosts import parse_hosts
from murmuration.site.network import Network
from murmuration.site.settings import Settings, decide
from murmuration.site.toml import toml_text


def test_hosts_are_two_controllers_and_three_workers_when_nothing_is_said() -> None:
    assert Settings().hosts == ("controller-0", "controller-1", "worker-1", "worker-2", "worker-3")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0", ()),
        ("1", ("controller-0",)),
        ("4", ("controller-0", "controller-1", "worker-1", "worker-2")),
        ("controllers=1,workers=1,storages=1", ("controller-0", "worker-1", "storage-0")),
        ("edge-7, worker-9", ("edge-7", "worker-9")),
    ],
)
def test_hosts_are_read_from_a_number_kinds_or_names(text: str, names: tuple[str, ...]) -> None:
    assert parse_hosts(text) == names


@pytest.mark.parametrize(
    "text",
    ["", "UPPER", "a,a", "workers=x", "birds=3", "-a", "a" * 64, "site", "a b", "../x", "a,,b"],
)
def test_hosts_that_cannot_be_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(Refused, match=r"^--hosts: .*\.$"):
        parse_hosts(text)


def test_personality_is_told_by_the_name() -> None:
    names = ("controller-0", "worker-1", "storage-0", "edge-7")
    assert [hosts.personality_of(name) for name in names] == [
        "controller", "worker", "storage", "worker",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("Rack_12.example.org", "rack-12-example-org"),
        ("controller-0", "controller-0-machine"),
        ("---", "this-machine"),
        ("site", "site-machine"),
        ("x" * 200, "x" * 53),
    ],
)
def test_machine_gets_a_label_nobody_else_bears(
    monkeypatch: pytest.MonkeyPatch, hostname: str, name: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: hostname)
    found = hosts.machine_name(("controller-0",))
    assert found == name
    assert hosts.LABEL.fullmatch(found)


def test_machine_is_observe_only_and_the_only_real_one() -> None:
    network = Network(
        prefix="mur", subnet=7, hosts=("worker-1",), state="", owner_pid=0, owner_started=0
    )
    worker, machine = hosts.plan_hosts(("worker-1",), network)
    assert (worker.origin, worker.address, worker.network) == (
        "namespace", "198.18.7.11", "/var/run/netns/mur-worker-1",
    )  # fmt: skip
    assert (machine.origin, machine.network) == ("machine", None)
    simulated, _ = hosts.plan_hosts(("worker-1",), None)
    assert (simulated.origin, simulated.network) == ("simulated", None)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_command_line_goes_before_the_file_and_that_before_the_default(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.toml",
        '[site]\nname = "lab"\nhosts = ["a", "b"]\ncompact = true\n[gateway]\nport = 9000\n',
    )
    found = decide({"port": 9100, "name": None}, file, file_must_exist=True)
    assert (found.port, found.name, found.hosts, found.compact) == (9100, "lab", ("a", "b"), True)
    assert found.log_level == "info"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[gateway]\nprot = 1\n",
            r"there is no key 'prot' in \[gateway\]. Known are .*gateway.port",
        ),
        ("[gate]\nport = 1\n", r"there is no key 'port' in \[gate\]"),
        ('[gateway]\nport = "x"\n', r"\[gateway\] port is 'x'. It must be a port"),
        ("[gateway]\nport = true\n", r"\[gateway\] port is True"),
        ("[site]\nhosts = 201\ncompact = 1\n", r"\[site\] compact is 1. It must be true or false"),
        ("name = 1\n", r"'name' stands outside a section"),
        ("[site\n", r"is not TOML"),
        ('[site]\nprefix = "other"\n', r"beginning with mur"),
        ('[sysinv]\naccept = "maybe"\n', r"one of automatic, manual"),
        ("[logs]\nsize_bytes_max = 10\n", r"bytes, 65536 or more"),
    ],
)
def test_file_that_is_wrong_is_refused_naming_the_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        decide({}, write(tmp_path / "c.toml", text), file_must_exist=True)


def test_file_that_is_not_there_matters_only_when_it_was_named(tmp_path: Path) -> None:
    assert decide({}, tmp_path / "none.toml", file_must_exist=False) == Settings()
    with pytest.raises(Refused, match="There is no"):
        decide({}, tmp_path / "none.toml", file_must_exist=True)


def test_bad_option_says_which(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--port is 99999. It must be a port"):
        decide({"port": 99_999}, tmp_path / "none", file_must_exist=False)


def test_every_setting_has_a_key_and_every_option_a_setting() -> None:
    assert {name for name, _ in settings.KEYS.values()} == set(Settings.__dataclass_fields__)
    up = vars(cli.parser().parse_args(["up"]))
    assert set(up) - {"do", "detach", "config"} <= set(Settings.__dataclass_fields__)


def test_toml_text_reads_back_as_it_was() -> None:
    import tomllib

    text = 'a "quoted"\\ \n\t\x7f \u00e9 \U0001f426'
    tables = {"one": {"text": text, "n": 3, "yes": True, "list": ["x", "y"]}}
    assert tomllib.loads(toml_text(tables)) == tables
    twice = toml_text({"[host]": {"name": "a"}}) + toml_text({"[host]": {"name": "b"}})
    assert tomllib.loads(twice) == {"host": [{"name": "a"}, {"name": "b"}]}


def test_services_are_those_of_the_contract() -> None:
    assert set(sockets.SERVICES) == set(CONTRACT_SERVICES)
    assert set(postgres.DATABASES) == set(STATEFUL)


def test_no_more_hosts_are_simulated_than_the_simulator_takes() -> None:
    assert hosts.SIMULATED_COUNT_MAX == SIMULATOR_HOST_COUNT_MAX
    with pytest.raises(Refused, match="5001 hosts are too many"):
        hosts.check_count(5_001, simulated=True)
    with pytest.raises(Refused, match="201 hosts are too many"):
        hosts.check_count(201, simulated=False)


def test_state_lies_where_the_environment_says(tmp_path: Path) -> None:
    named = layout.find({"MUR_STATE_DIR": str(tmp_path / "s")})
    assert named.state == tmp_path / "s"
    xdg = layout.find({"XDG_STATE_HOME": str(tmp_path)})
    assert xdg.state == tmp_path / "murmuration"
    assert named.run != xdg.run
    assert layout.find({"HOME": "/x"}).state == Path.home() / ".local/state/murmuration"


def test_run_folder_is_short_enough_for_sockets() -> None:
    deep = "/" + "d" * 200
    place = layout.find({"MUR_STATE_DIR": deep, "XDG_RUNTIME_DIR": deep})
    assert len(str(place.postgres_sockets / ".s.PGSQL.5432.lock")) <= layout.SOCKET_PATH_BYTES_MAX
