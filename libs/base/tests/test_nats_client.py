"""What our NATS client does better than the library's, on a real server."""

import pytest

from murmuration.testkit.plugin import Connect


async def test_flush_asks_only_after_what_was_said_before(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = (await connect("node@worker-1")).nc
    wire, written = client._transport, list[bytes]()
    assert wire is not None
    write, write_all = wire.write, wire.writelines

    def note(data: bytes) -> None:
        written.append(data)
        write(data)

    def note_all(lines: list[bytes]) -> None:
        written.extend(lines)
        write_all(lines)

    monkeypatch.setattr(wire, "write", note)
    monkeypatch.setattr(wire, "writelines", note_all)
    await client.subscribe("node.cmd.worker-1.reboot")
    await client.flush()
    said = [line.split()[0] for line in written]
    assert said.index(b"SUB") < said.index(b"PING")
