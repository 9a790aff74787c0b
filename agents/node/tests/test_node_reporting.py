"""The conversation with the inventory: the whole table, and what holds whatever gets lost."""

import dataclasses
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from murmuration.kernel.fsm import InputRefused
from murmuration.node.core.links import LINK_COUNT_MAX, by_name, difference
from murmuration.node.core.reporting_fsm import (
    IGNORED,
    REFUSED,
    TABLE,
    Input,
    Links,
    Phase,
    Reporting,
    SendDelta,
    SendReport,
    look,
    step,
)
from murmuration.proto.sysinv import Link

NAMES = st.sampled_from(["lo", "eth0", "eth1", "bond0", "vlan7"])
LINKS = st.lists(
    st.builds(
        Link, name=NAMES, index=st.integers(1, 5), kind=st.just("ether"), admin_up=st.booleans()
    ),
    unique_by=lambda link: link.name,
).map(by_name)


@pytest.mark.parametrize(("phase", "given_input"), list(product(Phase, Input)))
def test_every_pair_is_answered_as_the_table_says(phase: Phase, given_input: Input) -> None:
    state = Reporting(phase=phase, n=3)
    pair = (phase, given_input)

    if pair in REFUSED:
        with pytest.raises(InputRefused):
            step(state, given_input)
        return
    following = step(state, given_input, {})

    assert following.reason
    if pair in IGNORED:
        assert following.state == state
        assert following.effects == ()
    else:
        assert following.state.phase is TABLE[pair].to
        assert len(following.effects) == following.state.n - state.n


@given(before=LINKS, after=LINKS)
def test_difference_turns_before_into_after(before: Links, after: Links) -> None:
    change = difference(before, after)

    made = {name: link for name, link in before.items() if name not in change.removed}
    made |= {link.name: link for link in change.changed}
    assert made == after
    assert bool(change) == (dict(before) != dict(after))


def test_links_are_bounded_by_kernel_index() -> None:
    many = [Link(name=f"veth{i}", index=i, kind="veth") for i in range(LINK_COUNT_MAX + 100, 0, -1)]

    kept = by_name(many)

    assert len(kept) == LINK_COUNT_MAX
    assert next(iter(kept)) == "veth1"


@dataclasses.dataclass
class Inventory:
    """What sysinv keeps: full reports replace, deltas count only right after the last message."""

    last: int = 0
    links: dict[str, Link] = dataclasses.field(default_factory=dict[str, Link])
    behind: bool = True

    def take(self, effect: SendReport | SendDelta) -> None:
        assert effect.n > self.last, "a number was used twice"
        if isinstance(effect, SendReport):
            self.links = {link.name: link for link in effect.links}
            self.behind = False
        elif effect.n == self.last + 1 and not self.behind:
            self.links |= {link.name: link for link in effect.change.changed}
            for name in effect.change.removed:
                del self.links[name]
        else:
            self.behind = True
        self.last = effect.n


FATES = st.sampled_from(["stored", "lost", "stored, answer lost"])


@given(st.lists(st.one_of(LINKS, st.just(None)), max_size=30), st.data())
def test_inventory_knows_the_links_as_soon_as_one_message_gets_through(
    looks: list[Links | None], data: st.DataObject
) -> None:
    state, inventory = Reporting(), Inventory()

    def send(effects: tuple[SendReport | SendDelta, ...], fate: str) -> None:
        nonlocal state
        for effect in effects:
            if fate != "lost":
                inventory.take(effect)
            outcome = Input.ACKNOWLEDGED if fate == "stored" else Input.FAILED
            state = step(state, outcome).state

    seen: Links = {}
    for links in looks:
        if links is None:
            state = step(state, Input.WANTED).state
            continue
        seen = links
        following = look(state, seen)
        state = following.state
        send(following.effects, data.draw(FATES))
        if state.phase is Phase.CURRENT:
            assert inventory.links == seen
            assert not inventory.behind

    for _ in range(2):  # at most a report, and what was wanted meanwhile
        following = look(state, seen)
        state = following.state
        send(following.effects, "stored")
    assert inventory.links == seen


def test_report_asked_for_while_a_message_is_in_flight_is_sent_after_it() -> None:
    links = by_name([Link(name="lo", index=1, kind="loopback")])
    state = look(Reporting(), links).state

    state = step(state, Input.WANTED).state
    assert look(state, links).effects == ()
    state = step(state, Input.ACKNOWLEDGED).state
    following = look(state, links)

    assert following.effects == (SendReport(2, tuple(links.values())),)
