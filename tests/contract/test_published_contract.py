"""A tag publishes the contract; from then on it may only gain. Shown on a copy of proto/."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from murmuration.proto import registry
from murmuration.proto.registry import CHANNELS

registry.load()

SERVICES = sorted({c.service for c in CHANNELS.values()} | {"sample"})
PROTO = Path(__file__).parents[2] / "proto"


SAMPLE = str(Path("src/murmuration/proto/sample.py"))
DECLARED = '''
"""A small contract of a service that does not exist."""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import OpenEnum, Payload
from murmuration.proto.registry import (
    BucketSpec, Kind, Permanence, StreamSpec, add_bucket, add_stream, declare,
)

add_stream(StreamSpec(
    name="SAMPLE", owner="sample", subjects=("sample.event.>",), permanence=Permanence.EVENTS,
    size_bytes_max=1024, age_s_max=60, summary="Samples.",
))


class Colour(OpenEnum):
    """A colour."""

    RED = "red"
    UNKNOWN = "unknown"


class Bird(Payload, frozen=True, kw_only=True):
    """A bird."""

    name: str
    weight_g: int = 0
    colour: Colour


@declare(
    Kind.EVENT, type="sample.bird.landed.v1", subject="sample.event.bird.landed.{bird}",
    stream="SAMPLE", publishers=("sample",), subscribers=("gateway", "fm"),
)
class BirdLanded(Payload, frozen=True, kw_only=True):
    """A bird is here."""

    bird: Bird
    trees: tuple[str, ...]


@declare(
    Kind.EVENT, type="sample.bird.left.v1", subject="sample.event.bird.left.{bird}",
    stream="SAMPLE", publishers=("sample",), subscribers=("gateway",),
)
class BirdLeft(Payload, frozen=True, kw_only=True):
    """A bird is gone."""

    name: str
    because: Annotated[str, Meta(max_length=100)]


@declare(
    Kind.EVENT, type="sample.bird.sang.v1", subject="sample.event.bird.sang",
    stream="SAMPLE", publishers=("sample",), subscribers=("gateway",),
)
class BirdSang(Payload, frozen=True, kw_only=True):
    """A bird is heard."""


class Counted(Payload, frozen=True, kw_only=True):
    """An answer."""

    birds_count: int


@declare(
    Kind.QUERY, type="sample.bird.count.v1", subject="sample.query.count",
    publishers=("gateway", "tool"), subscribers=("sample",), reply=Counted,
)
class CountBirds(Payload, frozen=True, kw_only=True):
    """A question."""

    colour: Colour


add_bucket(BucketSpec(
    name="sample_nests", owner="sample", payload=Counted, readers=("gateway", "fm"),
    summary="Nests.",
))
'''

DRIVER = """
import contextlib, importlib, io, json, sys
from murmuration.proto import registry
registry.MODULES = (*registry.MODULES, "sample")
results = []
for module, *arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = importlib.import_module(f"murmuration.proto.{module}").main(arguments)
    results.append([code, said.getvalue().splitlines()])
print(json.dumps(results))
"""
RUN = "run `python -m murmuration.proto.generate`."
GENERATE = ("generate.__main__",)
CHECK = ("generate.__main__", "--check")
PUBLISH = ("publish",)
CLEAN = (0, [])


class Copy:
    """A copy of proto/ whose own code makes and checks its own files."""

    def __init__(self, source: Path, root: Path) -> None:
        self.root = root
        for folder in ("src", "contracts", "generated", "golden"):
            shutil.copytree(source / folder, root / folder)
        shutil.copy(source / "pyproject.toml", root)

    def run(self, *commands: tuple[str, ...]) -> list[tuple[int, list[str]]]:
        """Exit code and the sentences on standard error of each command, one after another."""
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, json.dumps(commands)],
            env={**os.environ, "PYTHONPATH": str(self.root / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [(code, said) for code, said in json.loads(done.stdout)]

    def edit(self, old: str, new: str) -> None:
        """Change the sample contract, at the first place that fits."""
        path = self.root / SAMPLE
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def files(self) -> dict[str, bytes]:
        """Everything that generate writes."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for folder in ("contracts", "generated", "golden")
            for path in sorted((self.root / folder).rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="module")
def all_draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which everything is a draft, whatever the tree has published."""
    copy = Copy(PROTO, tmp_path_factory.mktemp("draft") / "proto")
    shutil.rmtree(copy.root / "contracts")
    (copy.root / SAMPLE).write_text(DECLARED)
    assert copy.run(GENERATE, CHECK) == [CLEAN, CLEAN]
    return copy.root


@pytest.fixture(scope="module")
def all_published(all_draft: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = Copy(all_draft, tmp_path_factory.mktemp("published") / "proto")
    assert copy.run(PUBLISH, CHECK) == [CLEAN, CLEAN]
    return copy.root


@pytest.fixture
def draft(all_draft: Path, tmp_path: Path) -> Copy:
    return Copy(all_draft, tmp_path / "proto")


@pytest.fixture
def published(all_published: Path, tmp_path: Path) -> Copy:
    return Copy(all_published, tmp_path / "proto")


BREAKING = (
    (
        "    weight_g: int = 0\n",
        "",
        "sample.bird.landed.v1 is published and the field bird.weight_g is gone: make it v2.",
    ),
    (
        "    trees: tuple[str, ...]\n",
        "    trees: tuple[str, ...]\n    at_dawn: bool\n",
        "sample.bird.landed.v1 is published and the new field at_dawn has no default: make it v2.",
    ),
    (
        "max_length=100",
        "max_length=10",
        "sample.bird.left.v1 is published and the max_length of because is 10 now, it was 100: "
        "make it v2.",
    ),
    (
        "sample.event.bird.left.{bird}",
        "sample.event.bird.gone.{bird}",
        "sample.bird.left.v1 is published and its subject is sample.event.bird.gone.{bird} now, "
        "it was sample.event.bird.left.{bird}: make it v2.",
    ),
    (
        'subscribers=("gateway", "fm")',
        'subscribers=("gateway",)',
        "sample.bird.landed.v1 is published and its subscribers have lost fm: make it v2.",
    ),
    (
        "sample.bird.sang.v1",
        "sample.bird.sang.v2",
        "sample.bird.sang.v1 is published and no longer declared: put it back; for another form "
        "make it v2.",
    ),
    (
        "birds_count: int",
        "birds_count: str",
        "sample.bird.count.v1 is published and reply.birds_count is str now, it was int: "
        "make it v2.",
    ),
    (
        'publishers=("gateway", "tool")',
        'publishers=("gateway",)',
        "sample.bird.count.v1 is published and its publishers is gateway now, it was "
        "gateway, tool: make it v2.",
    ),
    (
        "permanence=Permanence.EVENTS",
        "permanence=Permanence.INTAKE",
        "stream SAMPLE is published and its permanence is intake now, it was events: "
        "give the new form another name.",
    ),
    (
        'readers=("gateway", "fm")',
        'readers=("gateway",)',
        "bucket sample_nests is published and its readers have lost fm: "
        "give the new form another name.",
    ),
)
FOLLOWS = "bucket sample_nests is published and birds_count is str now, it was int: " + (
    "give the new form another name."
)
NEW_FIELD = ("    weight_g: int = 0\n", "    weight_g: int = 0\n    song: str = ''\n")
GAINS = (
    NEW_FIELD,
    ('    RED = "red"\n', '    RED = "red"\n    BLUE = "blue"\n'),
    ('subscribers=("gateway",)', 'subscribers=("gateway", "mtce")'),
    ('readers=("gateway", "fm")', 'readers=("gateway", "fm", "mtce")'),
    ('subjects=("sample.event.>",)', 'subjects=("sample.event.>", "sample.more.>")'),
    ("size_bytes_max=1024", "size_bytes_max=2048"),
    ('"""A bird is heard."""', '"""A bird sings."""'),
)


def test_published_entries_are_refused_when_they_change(published: Copy) -> None:
    for old, new, _ in BREAKING:
        published.edit(old, new)
    before = published.files()
    for code, said in published.run(GENERATE, CHECK, PUBLISH):
        assert code == 1
        assert sorted(said) == sorted([FOLLOWS, *(sentence for *_, sentence in BREAKING)])
    assert published.files() == before


def test_published_entries_bear_gains(published: Copy) -> None:
    for change in GAINS:
        published.edit(*change)
    before = published.files()
    assert published.run(GENERATE, CHECK) == [CLEAN, CLEAN]
    after = published.files()
    changed = {name for name in before if before[name] != after[name]}
    assert "generated/asyncapi.json" in changed
    assert not {name for name in changed if name.endswith(".lock")}
    assert published.run(PUBLISH, CHECK) == [CLEAN, CLEAN]
    assert published.files()["contracts/sample.lock"] != before["contracts/sample.lock"]


def test_drafts_may_change_freely(draft: Copy) -> None:
    for old, new, _ in BREAKING:
        draft.edit(old, new)
    (code, said), generated, checked = draft.run(CHECK, GENERATE, CHECK)
    assert code == 1
    assert all(
        sentence.endswith("run `python -m murmuration.proto.generate`.") for sentence in said
    )
    assert (generated, checked) == (CLEAN, CLEAN)


def test_field_gained_since_the_last_tag_may_still_change(published: Copy) -> None:
    published.edit(*NEW_FIELD)
    assert published.run(GENERATE) == [CLEAN]
    published.edit("song: str =", "tune: str =")
    assert published.run(GENERATE, PUBLISH) == [CLEAN, CLEAN]
    published.edit("tune: str =", "song: str =")
    assert published.run(GENERATE) == [
        (
            1,
            ["sample.bird.landed.v1 is published and the field bird.tune is gone: make it v2."],
        )
    ]


def test_only_the_named_service_is_published(draft: Copy) -> None:
    before = draft.files()
    assert draft.run((*PUBLISH, "--service", "sample")) == [CLEAN]
    after = draft.files()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"contracts/sample.lock"}
    ((code, said),) = draft.run((*PUBLISH, "--service", "stranger"))
    assert code == 1
    assert said == [f"There is no service stranger: there are {', '.join(SERVICES)}."]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"published"', '"draft"', "was changed by hand"),
        ('"subject": "sample.', '"subject": "example.', "was changed by hand"),
        ("{", "<<<<<<< ours", "contracts/sample.lock is not a lock"),
    ],
)
def test_lock_that_was_not_generated_is_refused(
    published: Copy, old: str, new: str, sentence: str
) -> None:
    lock = published.root / "contracts" / "sample.lock"
    lock.write_text(lock.read_text().replace(old, new, 1))
    ((code, said),) = published.run(CHECK)
    assert code == 1
    assert sentence in said[0]
