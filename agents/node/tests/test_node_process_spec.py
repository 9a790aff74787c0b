"""Files of pmon.d, as StarlingX's packages bring them."""

import pytest

from murmuration.kernel.errors import Rejected
from murmuration.node.core.process_spec import (
    Mode,
    ProcessSpec,
    Style,
    parse,
    programs_of,
    restart_commands,
)
from murmuration.proto.fm import Severity

LSB = """\
[process]
process  = logger
service  = logger
pidfile  = /var/run/logger.pid
script   = /etc/init.d/logger
style    = lsb            ; ocf or lsb
severity = major          ; minor, major, critical
restarts = 3              ; retries before the alarm
interval = 5
debounce = 20
startuptime = 5           # seconds
mode = passive
"""
ACTIVE = """\
; a process that answers
[process]
process = beater
service = beater
style = lsb
script = /etc/init.d/beater
pidfile = /run/beater.pid
severity = CRITICAL
restarts = 5
interval = 5
debounce = 10
startuptime = 10
mode = active
port = 2202
period = 10
timeout = 2
threshold = 5
quorum = 1
full_init_reqd = 1
subfunction = worker
"""
STATUS = """\
[process]
process = cluster
script = /usr/local/sbin/cluster-status
style = lsb
severity = minor
restarts = 1
mode = status
period = 30
timeout = 10
start_arg = up
status_arg = check
status_failure_text = the cluster says it is not well
"""


def test_every_key_is_read() -> None:
    assert parse(LSB, file="logger.conf") == ProcessSpec(
        name="logger",
        service="logger",
        pidfile="/var/run/logger.pid",
        script="/etc/init.d/logger",
        style=Style.LSB,
        severity=Severity.MAJOR,
        restarts=3,
        interval_s=5,
        debounce_s=20,
        startup_s=5,
    )
    active = parse(ACTIVE, file="beater.conf")
    assert (active.mode, active.port, active.period_s) == (Mode.ACTIVE, 2_202, 10)
    assert (active.timeout_s, active.threshold, active.quorum) == (2, 5, True)
    assert (active.full_init, active.subfunction) == (True, "worker")
    assert active.severity is Severity.CRITICAL
    status = parse(STATUS, file="cluster.conf")
    assert (status.start_arg, status.status_arg) == ("up", "check")
    assert status.status_failure_text == "the cluster says it is not well"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no section"),
        ("process = x\n", "line 1"),
        (LSB.replace("restarts", "restart"), "'restart' is not a key"),
        (LSB.replace("= 3 ", "= three "), "'three'"),
        (LSB.replace("= major ", "= warning "), "minor, major, critical"),
        (LSB.replace("= passive", "= observed"), "mode is 'observed'"),
        (LSB.replace("/etc/init.d/logger", "logger"), "absolute path"),
        (LSB.replace("pidfile  = /var/run/logger.pid\n", ""), "needs a pidfile"),
        (LSB.replace("= 20", "= -20"), "seconds"),
        (ACTIVE.replace("port = 2202\n", ""), "active needs port"),
        (ACTIVE.replace("quorum = 1", "quorum = maybe"), "0 or 1"),
        (LSB.replace("style    = lsb", "style = systemd").replace("= logger\n", "= \n"), "name"),
        (LSB + "mode = active\n", "there twice"),
        ("[process]\nprocess = x\nservice = --now\nstyle = systemd\n", "name of a service"),
    ],
)
def test_file_is_refused_with_the_key_and_the_rule(text: str, says: str) -> None:
    with pytest.raises(Rejected, match=r"^logger\.conf") as refused:
        parse(text, file="logger.conf")
    assert says in str(refused.value)


def test_restart_is_an_argument_list_of_the_style() -> None:
    lsb, status = parse(LSB, file="a"), parse(STATUS, file="a")
    ocf = parse(LSB.replace("style    = lsb", "style    = ocf"), file="a")
    unit = parse("[process]\nprocess = sshd\nservice = ssh\nstyle = systemd\n", file="a")
    names = [
        restart_commands(spec, systemctl="/bin/systemctl") for spec in (lsb, status, ocf, unit)
    ]

    assert names == [
        (("/etc/init.d/logger", "restart"),),
        (("/usr/local/sbin/cluster-status", "up"),),
        (("/etc/init.d/logger", "stop"), ("/etc/init.d/logger", "start")),
        (("/bin/systemctl", "restart", "--", "ssh.service"),),
    ]
    assert (programs_of(lsb), programs_of(unit)) == (("/etc/init.d/logger",), ())
