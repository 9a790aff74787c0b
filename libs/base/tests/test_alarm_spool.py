"""The spool on disks that fill up and files that are damaged."""

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from murmuration.alarms.spool import Said, Spool
from murmuration.kernel.errors import Unavailable


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "mur-spool", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_full_disk_is_said_and_what_was_stored_is_sent_when_there_is_room_again(
    small_disk: Path,
) -> None:
    spool = Spool(small_disk / "spool.db", fresh_incarnation=1)
    assert spool.append([Said("raise", "100.101/host=h", b"{}", holds=True)]) == [1]
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4_096)
    with pytest.raises(Unavailable, match="spool cannot be written"):
        spool.append([Said("raise", "100.102/host=h", b"x" * 200_000)])
    assert (spool.last_n, spool.count) == (1, 1)
    try:
        spool.trim(0)
    except Unavailable as error:
        assert "trimmed" in str(error)
    filler.unlink()
    assert spool.append([Said("clear", "100.101/host=h", b"{}")]) == [2]
    assert [message.n for message in spool.after(0, 9)] == [1, 2]
    spool.close()


@pytest.mark.parametrize("damage", ["no database", "torn page"])
def test_damaged_file_is_set_aside_and_a_new_life_begun(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "spool.db"
    spool = Spool(path, fresh_incarnation=1)
    spool.append([Said("raise", f"100.101/host={n}", b"x" * 500) for n in range(200)])
    spool.close()
    with sqlite3.connect(path) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    content = bytearray(path.read_bytes())
    begin = 0 if damage == "no database" else 8_192
    content[begin : begin + 40_000] = b"\xa5" * 40_000
    path.write_bytes(content)
    again = Spool(path, fresh_incarnation=7)
    assert (again.incarnation, again.last_n, again.count) == (7, 0, 0)
    assert again.append([Said("raise", "100.101/host=h", b"{}")]) == [1]
    again.close()
    assert (tmp_path / "spool.db.damaged-7").read_bytes() == bytes(content)
