"""Keys become subject tokens and come back; names are what they should be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from murmuration.proto.ids import parse_host_name, token, untoken


def encodable(key: str) -> bool:
    """Lone surrogates are no Unicode text and have no UTF-8 form."""
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in key)


@given(st.text(min_size=1, max_size=300).filter(encodable))
def test_token_is_one_subject_token_and_untoken_undoes_it(key: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token(key))
    assert untoken(token(key)) == key


@given(st.text(min_size=1).filter(encodable), st.text(min_size=1).filter(encodable))
def test_tokens_differ_when_keys_differ(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


@given(st.text(alphabet="abcXYZ019-_ .*>\n\x00é", max_size=40))
def test_untoken_refuses_whatever_token_would_not_write(text: str) -> None:
    try:
        key = untoken(text)
    except ValueError:
        return
    assert token(key) == text


@pytest.mark.parametrize("text", ["", "_", "a_", "_2e", "a.b", "_41", "_FF", "a b", "*", ">"])
def test_untoken_refuses_text_when_it_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        untoken(text)


def test_token_refuses_an_empty_key() -> None:
    with pytest.raises(ValueError, match="empty"):
        token("")


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True))
def test_host_name_is_a_token_as_it_is(name: str) -> None:
    assert token(parse_host_name(name)) == name


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "A", "a.b", "a_b", "a" * 64, "worker 1", "worker-1\n", "ä"]
)
def test_host_name_is_refused_when_it_is_no_label(text: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        parse_host_name(text)
