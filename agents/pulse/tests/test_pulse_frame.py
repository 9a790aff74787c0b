"""The sender's frame is the contract's frame, bit by bit."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from murmuration.proto import pulse as contract
from murmuration.pulse import frame

KEYS = st.binary(min_size=1, max_size=32)


@given(
    key=KEYS,
    boot=st.uuids(),
    flags=st.integers(0, 7),
    period_ms=st.integers(50, 1_000),
    index=st.integers(0, 99_999),
    load=st.integers(0, 200_000),
    sequence=st.integers(1, 2**63),
    sent_ns=st.integers(0, 2**63),
)
def test_frame_is_what_the_contract_packs_and_unpacks(
    key: bytes,
    boot: UUID,
    flags: int,
    period_ms: int,
    index: int,
    load: int,
    sequence: int,
    sent_ns: int,
) -> None:
    data = frame.pack(
        key,
        boot.bytes,
        index=index,
        period_ms=period_ms,
        flags=flags,
        load_percent=load,
        sequence=sequence,
        sent_ns=sent_ns,
    )

    expected = contract.Pulse(
        flags, period_ms, index, min(load, 65_535), sequence, sent_ns, boot.bytes
    )
    assert contract.unpack(data) == expected
    assert contract.authentic(data, key)
    assert contract.pack(expected, key) == data


def test_constants_are_those_of_the_contract() -> None:
    assert (frame.FORMAT, frame.MAGIC, frame.VERSION) == (
        contract.FORMAT,
        contract.MAGIC,
        contract.VERSION,
    )
    assert (frame.MAC_BYTES, frame.FRAME_BYTES) == (contract.MAC_BYTES, contract.FRAME_BYTES)
    for name in ("STOPPING", "BUS_DOWN", "UDP_DOWN", "REBOOTING", "POWERING_OFF"):
        assert getattr(frame, f"FLAG_{name}") == getattr(contract, f"FLAG_{name}")
