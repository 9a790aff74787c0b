"""Every command of mur: its words, the function that does it, and examples.

The help, the completion and the short way past the parser (`shortcut`) are made from this table,
and a test runs every example.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """`mur <noun> <verb> …`. `verb` is empty where the noun alone is the command.

    A verb of two words is a noun below the noun, and its verb.

    `target` is `module:function` below murmuration.cli.commands; the function's keyword-only
    parameters are options, its positional ones (`words` of them, all required) are words.
    """

    noun: str
    verb: str
    target: str
    words: int = 0
    completes: str = ""  # what the first word names: host, alarm or lab (a host to break)
    examples: tuple[str, ...]


NOUNS: dict[str, str] = {
    "site": "The site in one view.",
    "site certs": "Certificates of the site's servers, and who vouches for them.",
    "host": "Hosts: what they are, how they are, and what you want of them.",
    "host bmc": "Baseboard controllers: power, sensors, and when a lost host's workload may move.",
    "alarm": "Alarms: what is wrong, why, what was, and what you do about it.",
    "receiver": "Who is told of alarms: webhooks, Alertmanager, SNMP.",
    "silence": "Alarms that nobody is told of for a time.",
    "bus": "What goes over the bus, and what could not.",
    "bus parked": "Messages that services set aside.",
    "bus held": "Effects of which nobody knows whether they happened.",
    "event": "What happened, and what happens now.",
    "health": "The platform's own health.",
    "lab": "Break the hosts of a site on this machine, and heal them.",
    "nats-user": "Programs outside that hear events, and hosts that may join.",
    "completion": "Completion of mur's words in your shell.",
}

COMMANDS = (
    Command(
        noun="site",
        verb="show",
        target="site:show",
        examples=("mur site", "mur site show --json"),
    ),
    Command(
        noun="site",
        verb="certs list",
        target="certs:list_certificates",
        examples=("mur site certs list",),
    ),
    Command(
        noun="site",
        verb="certs renew",
        target="certs:renew",
        examples=("mur site certs renew",),
    ),
    Command(
        noun="site",
        verb="certs rotate",
        target="certs:rotate",
        examples=("mur site certs rotate", "mur site certs rotate --now"),
    ),
    Command(
        noun="site",
        verb="certs ca",
        target="certs:authorities",
        examples=("mur site certs ca",),
    ),
    Command(
        noun="host",
        verb="list",
        target="host:list_hosts",
        examples=("mur host list", "mur host list --json"),
    ),
    Command(
        noun="host",
        verb="show",
        target="host:show",
        words=1,
        completes="host",
        examples=("mur host show worker-1", "mur host show worker-1 --utc"),
    ),
    Command(
        noun="host",
        verb="health",
        target="host_health:show",
        words=1,
        completes="host",
        examples=("mur host health worker-1", "mur host health worker-1 --json"),
    ),
    Command(
        noun="host",
        verb="accept",
        target="host:accept",
        words=1,
        completes="host",
        examples=("mur host accept worker-1",),
    ),
    Command(
        noun="host",
        verb="lock",
        target="host_action:lock",
        words=1,
        completes="host",
        examples=(
            "mur host lock worker-1",
            "mur host lock worker-1 --wait",
            "mur host lock worker-1 --force --dry-run",
        ),
    ),
    Command(
        noun="host",
        verb="unlock",
        target="host_action:unlock",
        words=1,
        completes="host",
        examples=(
            "mur host unlock worker-1",
            "mur host unlock worker-1 --wait --wait-limit 300",
        ),
    ),
    Command(
        noun="host",
        verb="reboot",
        target="host_action:reboot",
        words=1,
        completes="host",
        examples=("mur host reboot worker-1 --wait",),
    ),
    Command(
        noun="host",
        verb="reset",
        target="host_action:reset",
        words=1,
        completes="host",
        examples=(
            "mur host reset worker-1",
            "mur host reset worker-1 --dry-run",
        ),
    ),
    Command(
        noun="host",
        verb="power-on",
        target="host_action:power_on",
        words=1,
        completes="host",
        examples=("mur host power-on worker-1 --wait",),
    ),
    Command(
        noun="host",
        verb="power-off",
        target="host_action:power_off",
        words=1,
        completes="host",
        examples=("mur host power-off worker-1",),
    ),
    Command(
        noun="host",
        verb="reinstall",
        target="host_action:reinstall",
        words=1,
        completes="host",
        examples=("mur host reinstall worker-1 --dry-run",),
    ),
    Command(
        noun="host",
        verb="swact",
        target="host_action:swact",
        words=1,
        completes="host",
        examples=("mur host swact controller-0",),
    ),
    Command(
        noun="host",
        verb="delete",
        target="host_action:delete",
        words=1,
        completes="host",
        examples=("mur host delete worker-1",),
    ),
    Command(
        noun="host",
        verb="why",
        target="host_action:why",
        words=1,
        completes="host",
        examples=(
            "mur host why worker-1",
            "mur host why worker-1 --limit 100",
        ),
    ),
    Command(
        noun="host",
        verb="label",
        target="bmc:label",
        words=2,
        completes="host",
        examples=("mur host label worker-1 fence=fast,rack=A1", "mur host label worker-1 fence-"),
    ),
    Command(
        noun="host",
        verb="bmc show",
        target="bmc:show",
        words=1,
        completes="host",
        examples=("mur host bmc show worker-1",),
    ),
    Command(
        noun="host",
        verb="bmc set",
        target="bmc:declare",
        words=1,
        completes="host",
        examples=(
            "mur host bmc set worker-1 --address 10.0.0.11 --user admin",
            "mur host bmc set worker-1 --address bmc1 --user admin --trust ca",
        ),
    ),
    Command(
        noun="host",
        verb="bmc clear",
        target="bmc:clear",
        words=1,
        completes="host",
        examples=("mur host bmc clear worker-1",),
    ),
    Command(
        noun="alarm",
        verb="list",
        target="alarm:list_alarms",
        examples=(
            "mur alarm list",
            "mur alarm list --severity critical",
            "mur alarm list --entity host=worker-1",
            "mur alarm list --at 2h --masked",
        ),
    ),
    Command(
        noun="alarm",
        verb="show",
        target="alarm:show",
        words=1,
        completes="alarm",
        examples=("mur alarm show 0192f3a1",),
    ),
    Command(
        noun="alarm",
        verb="summary",
        target="alarm:summary",
        examples=("mur alarm summary",),
    ),
    Command(
        noun="alarm",
        verb="why",
        target="alarm_history:why",
        words=1,
        completes="alarm",
        examples=("mur alarm why 0192f3a1",),
    ),
    Command(
        noun="alarm",
        verb="timeline",
        target="alarm_history:timeline",
        words=1,
        completes="alarm",
        examples=("mur alarm timeline 0192f3a1",),
    ),
    Command(
        noun="alarm",
        verb="ack",
        target="alarm:ack",
        words=1,
        completes="alarm",
        examples=("mur alarm ack 0192f3a1",),
    ),
    Command(
        noun="alarm",
        verb="unack",
        target="alarm:unack",
        words=1,
        completes="alarm",
        examples=("mur alarm unack 0192f3a1",),
    ),
    Command(
        noun="alarm",
        verb="comment",
        target="alarm:comment",
        words=2,
        completes="alarm",
        examples=('mur alarm comment 0192f3a1 "on my way"',),
    ),
    Command(
        noun="alarm",
        verb="clear",
        target="alarm:clear",
        words=1,
        completes="alarm",
        examples=(
            "mur alarm clear 0192f3a1",
            "mur alarm clear 0192f3a1 --reason repaired",
        ),
    ),
    Command(
        noun="alarm",
        verb="suppressions",
        target="suppression:suppressions",
        examples=("mur alarm suppressions",),
    ),
    Command(
        noun="alarm",
        verb="suppress",
        target="suppression:suppress",
        examples=(
            "mur alarm suppress --alarm-id 100.101 --lasting 2h",
            "mur alarm suppress --entity host=worker-* --severity minor",
        ),
    ),
    Command(
        noun="alarm",
        verb="unsuppress",
        target="suppression:unsuppress",
        words=1,
        examples=("mur alarm unsuppress 0192f3a1",),
    ),
    Command(
        noun="alarm",
        verb="history",
        target="alarm_history:history",
        examples=(
            "mur alarm history",
            "mur alarm history --since 2h --kind cleared",
        ),
    ),
    Command(
        noun="alarm",
        verb="export",
        target="alarm_history:export",
        examples=(
            "mur alarm export --format csv",
            "mur alarm export --history --since 7d",
        ),
    ),
    Command(
        noun="alarm",
        verb="catalogue",
        target="alarm_history:catalogue",
        examples=(
            "mur alarm catalogue",
            "mur alarm catalogue --id 200.004",
        ),
    ),
    Command(
        noun="alarm",
        verb="profile",
        target="alarm_history:profile",
        words=1,
        examples=(
            "mur alarm profile 100.101 --severity minor --comment 'build host'",
            "mur alarm profile 100.114 --blocks-from none",
            "mur alarm profile 100.101 --reset",
        ),
    ),
    Command(
        noun="alarm",
        verb="gates",
        target="alarm:gates",
        examples=("mur alarm gates",),
    ),
    Command(
        noun="event",
        verb="list",
        target="event:list_events",
        examples=(
            "mur event list --limit 100",
            "mur event list --type fm.alarm",
            "mur event list --follow --json",
        ),
    ),
    Command(
        noun="receiver",
        verb="list",
        target="receiver:list_receivers",
        examples=("mur receiver list",),
    ),
    Command(
        noun="receiver",
        verb="set",
        target="receiver:set_receiver",
        words=2,
        examples=(
            "mur receiver set ops https://example.org/hook --secret hook",
            "mur receiver set am http://192.0.2.8:9093 --kind alertmanager",
            "mur receiver set noc snmp://192.0.2.7:162 --kind snmp",
        ),
    ),
    Command(
        noun="receiver",
        verb="remove",
        target="receiver:remove",
        words=1,
        examples=("mur receiver remove operators",),
    ),
    Command(
        noun="receiver",
        verb="try",
        target="receiver:try_receiver",
        words=1,
        examples=("mur receiver try operators",),
    ),
    Command(
        noun="receiver",
        verb="retry",
        target="receiver:retry",
        words=1,
        examples=("mur receiver retry operators",),
    ),
    Command(
        noun="receiver",
        verb="routes",
        target="receiver:routes",
        examples=("mur receiver routes", "mur receiver routes --json"),
    ),
    Command(
        noun="silence",
        verb="list",
        target="silence:list_silences",
        examples=("mur silence list", "mur silence list --expired"),
    ),
    Command(
        noun="silence",
        verb="add",
        target="silence:add",
        words=1,
        examples=(
            "mur silence add host=worker-1 --lasting 2h --comment 'new disks'",
            "mur silence add alarm_id=~800.*,severity!=critical --lasting 30min",
        ),
    ),
    Command(
        noun="silence",
        verb="end",
        target="silence:end",
        words=1,
        examples=("mur silence end 0192f3a1",),
    ),
    Command(
        noun="bus",
        verb="parked list",
        target="bus:list_parked",
        examples=("mur bus parked list",),
    ),
    Command(
        noun="bus",
        verb="parked show",
        target="bus:show",
        words=1,
        examples=("mur bus parked show fm:3",),
    ),
    Command(
        noun="bus",
        verb="parked retry",
        target="bus:retry",
        words=1,
        examples=("mur bus parked retry fm:3",),
    ),
    Command(
        noun="bus",
        verb="parked drop",
        target="bus:drop",
        words=1,
        examples=("mur bus parked drop fm:3",),
    ),
    Command(noun="bus", verb="held list", target="held:list_held", examples=("mur bus held list",)),
    Command(
        noun="bus",
        verb="held confirm",
        target="held:confirm",
        words=1,
        examples=("mur bus held confirm mtce:3",),
    ),
    Command(
        noun="bus",
        verb="held drop",
        target="held:drop",
        words=1,
        examples=("mur bus held drop mtce:3",),
    ),
    Command(noun="health", verb="", target="health:show", examples=("mur health",)),
    Command(noun="lab", verb="list", target="lab:list_hosts", examples=("mur lab list",)),
    Command(
        noun="lab",
        verb="kill",
        target="lab:kill",
        words=1,
        completes="lab",
        examples=("mur lab kill worker-1",),
    ),
    Command(
        noun="lab",
        verb="freeze",
        target="lab:freeze",
        words=1,
        completes="lab",
        examples=("mur lab freeze worker-1",),
    ),
    Command(
        noun="lab",
        verb="link-down",
        target="lab:link_down",
        words=1,
        completes="lab",
        examples=("mur lab link-down worker-1",),
    ),
    Command(
        noun="lab",
        verb="partition",
        target="lab:partition",
        words=1,
        completes="lab",
        examples=("mur lab partition worker-1", "mur lab partition worker-1 --direction from"),
    ),
    Command(
        noun="lab",
        verb="heal",
        target="lab:heal",
        words=1,
        completes="lab",
        examples=("mur lab heal worker-1",),
    ),
    Command(
        noun="lab",
        verb="reboot",
        target="lab:reboot",
        words=1,
        completes="lab",
        examples=("mur lab reboot worker-1",),
    ),
    Command(
        noun="nats-user",
        verb="create",
        target="nats_user:create",
        examples=(
            "mur nats-user create --role reader --name billing --output billing.creds",
            "mur nats-user create --role join --name worker-9",
        ),
    ),
    Command(
        noun="nats-user",
        verb="list",
        target="nats_user:list_users",
        examples=("mur nats-user list",),
    ),
    Command(
        noun="nats-user",
        verb="revoke",
        target="nats_user:revoke",
        words=1,
        examples=("mur nats-user revoke billing",),
    ),
    Command(
        noun="completion",
        verb="install",
        target="completion:install",
        examples=("mur completion install", "mur completion install --shell fish"),
    ),
    Command(
        noun="completion",
        verb="print",
        target="completion:print_script",
        examples=("mur completion print --shell bash",),
    ),
)

DEFAULT_VERBS = {"site": "show"}  # `mur site` is `mur site show`

EXIT_CODES = """\
Exit codes
  0    done
  1    the site answered and refused, or could not do it
  2    the command line is wrong, or there is no site to talk to
  3    no answer from the site: refused, timed out or broken off
  130  stopped by Ctrl-C
  141  the reader of the output went away"""

ENVIRONMENT = """\
Environment
  MUR_URL        the site's URL, instead of the one found in its state folder
  MUR_TOKEN      the token that belongs to it
  MUR_CA         a file of the authorities that vouch for it (https)
  MUR_STATE_DIR  the state folder of the site (else XDG_STATE_HOME/murmuration)
  NO_COLOR       no colours; COLUMNS: the width of tables"""
