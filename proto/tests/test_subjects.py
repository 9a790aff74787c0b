"""Patterns match as nats-server matches them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from murmuration.proto.subjects import covers, overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.b", "a.c", False),
        ("a.b", "a.b.c", False),
        ("*.b", "a.*", True),
        ("a.*.c", "a.b.*", True),
        (">", "a", True),
    ],
)
def test_patterns_overlap_when_a_subject_fits_both(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.>", "a.b.c", True),
        ("a.>", "a.>", True),
        ("a.*", "a.>", False),
        ("a.*", "a.*", True),
        ("a.b", "a.*", False),
        ("a.>", "a", False),
        ("a.*", "a", False),
        ("a", "a.b", False),
    ],
)
def test_pattern_covers_another_when_it_fits_all_of_it(
    pattern: str, subject: str, expected: bool
) -> None:
    assert covers(pattern, subject) is expected


TOKENS = st.lists(st.sampled_from("ab*"), min_size=1, max_size=4)
PATTERN = st.one_of(TOKENS.map(".".join), TOKENS.map(lambda tokens: ".".join([*tokens, ">"])))
SUBJECT = st.lists(st.sampled_from("ab"), min_size=1, max_size=5).map(".".join)


@given(PATTERN, PATTERN, SUBJECT)
def test_matching_agrees_with_every_single_subject(one: str, other: str, subject: str) -> None:
    if covers(one, subject) and covers(other, subject):
        assert overlap(one, other)
    if covers(one, other) and covers(other, subject):
        assert covers(one, subject)
