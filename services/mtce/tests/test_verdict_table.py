"""The verdict table, walked: every combination of facts has exactly one answer, and why."""

import numpy as np
import pytest

from murmuration.mtce.core import verdict_table
from murmuration.mtce.core.verdict_table import (
    RULES,
    Case,
    Other,
    Outcome,
    Reach,
    cases,
    rule_of,
)


def test_every_case_has_exactly_one_rule_and_every_rule_a_case():
    assert len(cases()) == len(set(cases())) == 72
    for case in cases():
        assert [rule.speaks_of(case) for rule in RULES].count(True) == 1, case
    assert {rule_of(case) for case in cases()} == set(RULES)
    assert all(len(rule.reason) > 20 for rule in RULES)


def test_host_is_accused_only_when_silent_on_both_paths_before_a_sound_monitor_in_reach():
    for case in cases():
        accused = rule_of(case).outcome is Outcome.ACCUSED
        silent = not case.bus_heard and not case.udp_heard
        assert accused == (
            silent and case.sound and case.other is not Other.HEARS and case.reach is not Reach.NONE
        )


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        (Case(True, False, True, Other.ABSENT, Reach.OTHERS), Outcome.PATH_ALARM),
        (Case(False, True, True, Other.ABSENT, Reach.OTHERS), Outcome.BUS_ALARM),
        (Case(False, True, False, Other.AGREES, Reach.NONE), Outcome.BUS_ALARM),
        (Case(False, False, True, Other.AGREES, Reach.OTHERS), Outcome.ACCUSED),
        (Case(False, False, True, Other.ABSENT, Reach.OTHERS), Outcome.ACCUSED),
        (Case(False, False, True, Other.HEARS, Reach.OTHERS), Outcome.DISPUTED),
        (Case(False, False, True, Other.AGREES, Reach.NONE), Outcome.OWN_REACH),
        (Case(False, False, False, Other.AGREES, Reach.OTHERS), Outcome.WAIT),
    ],
)
def test_verdict_is_what_the_design_says(case: Case, outcome: Outcome):
    assert rule_of(case).outcome is outcome


def test_lookup_for_many_hosts_says_what_the_rules_say():
    for case in cases():
        if case.bus_heard or case.udp_heard:
            said = verdict_table.paths(
                bus_heard=np.array([case.bus_heard]), udp_heard=np.array([case.udp_heard])
            )
        else:
            said = verdict_table.silent(
                sound=case.sound, other=np.array([case.other]), reach=np.array([case.reach])
            )
        assert said.tolist() == [rule_of(case).outcome]
