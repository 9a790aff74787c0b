"""node.toml: what is wrong is named."""

from pathlib import Path

import pytest

from murmuration.kernel.errors import Rejected
from murmuration.node.config import endpoint, load
from murmuration.proto.sysinv import Origin, Personality

GOOD = """\
[host]
name = "worker-1"
personality = "storage"
origin = "machine"
state_dir = "host"
[bus]
url = "nats://[::1]"
[pulse]
udp = ["198.18.0.1:8790"]
"""


def a_file(folder: Path) -> Path:
    path = folder / "node.toml"
    path.write_text(GOOD)
    return path


def test_configuration_is_read(tmp_path: Path) -> None:
    found = load(a_file(tmp_path))

    assert (found.name, found.host.personality) == ("worker-1", Personality.STORAGE)
    assert (found.host.origin, found.host.observe_only) == (Origin.MACHINE, False)
    assert endpoint(found.bus.url) == ("::1", 4222)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("name =", "nmae =", "nmae"),
        ('"worker-1"', '"Worker_1"', "host name"),
        ("nats://[::1]", "nats:x", "nats:x"),
        (":8790", ":port", "port"),
        ('state_dir = "host"', "", "state_dir"),
        ("[pulse]", "[pulse", "TOML"),
    ],
)
def test_configuration_is_refused_naming_what_is_wrong(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    path = a_file(tmp_path)
    path.write_text(path.read_text().replace(old, new))

    with pytest.raises(Rejected, match=named):
        load(path)
