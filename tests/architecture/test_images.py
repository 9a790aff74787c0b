"""Every service and the agents have an image, built from the tree, that does not run as root."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy/images/Dockerfile"
IMAGES = sorted([*ROOT.glob("services/*/Dockerfile"), ROOT / "agents/node/Dockerfile"])


def instructions(path: Path, word: str) -> list[list[str]]:
    text = re.sub(r"\\\n", " ", path.read_text())
    return [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [word]]


def test_every_service_has_an_image_that_runs_it() -> None:
    services = {path.name for path in ROOT.glob("services/*") if (path / "pyproject.toml").exists()}
    assert {path.parent.name for path in IMAGES} == services | {"node"}
    for path in IMAGES:
        (command,) = instructions(path, "CMD")
        assert f'"murmuration.{path.parent.name}"' in " ".join(command)


@pytest.mark.parametrize("path", [BASE, *IMAGES], ids=lambda p: p.parent.name)
def test_image_copies_only_what_is_there_and_starts_from_plain_names(path: Path) -> None:
    for source, *more in instructions(path, "COPY"):
        if not source.startswith("--from="):
            for name in [source, *more[:-1]]:
                assert (ROOT / name).exists(), name
    for name, *_ in instructions(path, "FROM"):
        assert re.fullmatch(r"python:3\.11-slim|murmuration-(build|base)", name)


def test_every_image_runs_as_somebody_who_is_not_root() -> None:
    assert instructions(BASE, "USER") == [["10001:10001"]]
    for path in IMAGES:
        assert instructions(path, "USER") == []
        assert instructions(path, "FROM")[-1] == ["murmuration-base"]
