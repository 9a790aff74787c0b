"""A cluster's nodes: what they bear by table, and the real client against a strict API server."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from murmuration.kernel.errors import Rejected, Unavailable
from murmuration.mtce.adapters.cluster import Cluster
from murmuration.mtce.app import MIGRATIONS
from murmuration.mtce.core.cluster import (
    OWNED,
    TAINTS,
    Node,
    Part,
    Taint,
    Wish,
    change,
    wanted,
)
from murmuration.mtce.tasks_cluster import ClusterTasks
from murmuration.store.database import Database, open_database
from murmuration.testkit.ports import free_port
from murmuration.testkit.postgres import Postgres

OTHERS = Taint("dedicated", "storage", "NoSchedule")
SERVES, LOCKED = Wish(locked=False, released=False), Wish(locked=True, released=False)
RELEASED = Wish(locked=False, released=True)


def node(**changes: Any) -> Node:
    fields: dict[str, Any] = {
        "name": "worker-1",
        "version": "1",
        "cordoned": False,
        "taints": (OTHERS,),
        "owned": frozenset[Part](),
    }
    return Node(**(fields | changes))


@pytest.mark.parametrize(("locked", "released", "empty"), list(product((False, True), repeat=3)))
def test_node_bears_what_its_host_asks_for_and_comes_back_as_it_was(
    locked: bool, released: bool, empty: bool
) -> None:
    wish = Wish(locked=locked, released=released)
    found = change(node(), wish, empty=empty)
    parts = wanted(wish, empty=empty)
    if not parts:
        assert found is None
        return
    assert found is not None
    assert found.owned == parts
    assert OTHERS in found.taints
    assert (TAINTS[Part.OUT_OF_SERVICE] in found.taints) == released
    there = node(cordoned=found.cordoned, taints=found.taints, owned=found.owned)
    assert change(there, wish, empty=empty) is None
    back = change(there, SERVES, empty=True)
    assert back is not None
    assert (back.cordoned, back.taints, back.owned) == (False, (OTHERS,), frozenset())


def test_what_others_did_to_a_node_is_never_undone() -> None:
    theirs = node(cordoned=True, taints=(OTHERS, TAINTS[Part.SERVICES]))
    found = change(theirs, RELEASED, empty=True)
    assert found is not None
    assert found.owned == {Part.OUT_OF_SERVICE}
    there = node(cordoned=found.cordoned, taints=found.taints, owned=found.owned)
    back = change(there, SERVES, empty=True)
    assert back is not None
    assert (back.cordoned, set(back.taints)) == (True, set(theirs.taints))


@dataclass
class Api:
    """The part of a Kubernetes API server that is used; what it does not expect is refused."""

    nodes: dict[str, Any] = field(default_factory=dict[str, Any])
    pods: dict[str, str] = field(default_factory=dict[str, str])  # name to owner's kind
    budget: int = 0  # evictions that are allowed
    away: bool = False
    port: int = 0

    def __post_init__(self) -> None:
        self.nodes["worker-1"] = {
            "metadata": {"name": "worker-1", "resourceVersion": "1", "annotations": {"a": "b"}},
            "spec": {"taints": [{"key": "dedicated", "value": "storage", "effect": "NoSchedule"}]},
        }
        self.pods.update({"web-1": "ReplicaSet", "web-2": "ReplicaSet", "log-1": "DaemonSet"})

    async def list_nodes(self, _request: web.Request) -> web.Response:
        if self.away:
            return self._status(503, "ServiceUnavailable")
        items = list(self.nodes.values())
        return web.json_response({"kind": "NodeList", "apiVersion": "v1", "items": items})

    async def patch_node(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/merge-patch+json"
        body = await request.json()
        found = self.nodes[request.match_info["name"]]
        metadata = found["metadata"]
        if body["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return self._status(409, "Conflict")
        for part in ("metadata", "spec"):
            _merge(found[part], body[part])
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        return web.json_response(found)

    async def list_pods(self, request: web.Request) -> web.Response:
        assert request.query["fieldSelector"] == "spec.nodeName=worker-1"
        items = [
            {
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "ownerReferences": [
                        {"apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "1"}
                    ],
                },
                "status": {"phase": "Running"},
            }
            for name, kind in self.pods.items()
        ]
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "items": items})

    async def evict(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = request.match_info["name"]
        assert body["metadata"] == {"name": name, "namespace": "default"}
        if self.budget == 0:
            return self._status(429, "TooManyRequests")
        self.budget -= 1
        del self.pods[name]
        return web.json_response({"kind": "Status", "status": "Success"}, status=201)

    @staticmethod
    def _status(code: int, reason: str) -> web.Response:
        return web.json_response({"kind": "Status", "code": code, "reason": reason}, status=code)


def _merge(there: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7396."""
    for key, value in patch.items():
        if value is None:
            there.pop(key, None)
        elif isinstance(value, dict):
            _merge(there.setdefault(key, {}), value)
        else:
            there[key] = value


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    app = web.Application()
    app.router.add_get("/api/v1/nodes", made.list_nodes)
    app.router.add_patch("/api/v1/nodes/{name}", made.patch_node)
    app.router.add_get("/api/v1/pods", made.list_pods)
    app.router.add_post("/api/v1/namespaces/default/pods/{name}/eviction", made.evict)
    runner = web.AppRunner(app)
    await runner.setup()
    made.port = free_port()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@pytest.fixture
def cluster(api: Api, tmp_path: Path) -> Cluster:
    config = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.port}"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    kinds = {"apiVersion": "v1", "kind": "Config", "current-context": "x"}
    user = {"name": "u", "user": {}}
    lists = {"clusters": [cluster], "contexts": [context], "users": [user]}
    config.write_text(json.dumps(kinds | lists))
    return Cluster(str(config), "")


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    login = postgres.database("mtce")
    async with open_database(postgres.section, login, migrations=MIGRATIONS) as database:
        async with database.connection() as connection:
            await connection.execute(
                "insert into mirror_host (name, index, period_ms, accepted, administrative, epoch,"
                " change) values ('worker-1', 0, 100, true, 'unlocked', 1, 1)"
            )
            await connection.execute(
                "insert into host_state (name, administrative, operational, availability,"
                " heartbeat, boot_id, episode, changed_at, reason)"
                " values ('worker-1', 'unlocked', 'enabled', 'available', 'well', 'b', 1,"
                " now(), '')"
            )
        database.verified.set()
        yield database


async def administrative(database: Database, state: str) -> None:
    async with database.connection() as connection:
        await connection.execute("update host_state set administrative = $1", state)


async def test_locked_host_is_cordoned_drained_as_budgets_allow_and_given_back(
    api: Api, cluster: Cluster, database: Database
) -> None:
    tasks = ClusterTasks(database=database, cluster=cluster)
    await tasks.round()
    assert api.nodes["worker-1"]["metadata"]["resourceVersion"] == "1"
    await administrative(database, "locked")
    await tasks.round()
    spec = api.nodes["worker-1"]["spec"]
    assert (spec["unschedulable"], len(spec["taints"])) == (True, 1)
    await tasks.round()
    assert set(api.pods) == {"web-1", "web-2", "log-1"}
    for left in (2, 1):
        api.budget = 1
        await tasks.round()
        assert len(api.pods) == left
    await tasks.round()
    assert {taint["key"] for taint in spec["taints"]} == {"dedicated", "services"}
    await administrative(database, "unlocked")
    await tasks.round()
    node = api.nodes["worker-1"]
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["dedicated"]
    assert "unschedulable" not in node["spec"]
    assert node["metadata"]["annotations"] == {"a": "b"}
    cluster.close()


async def test_released_host_is_out_of_service_and_a_changed_node_is_looked_at_again(
    api: Api, cluster: Cluster, database: Database
) -> None:
    tasks = ClusterTasks(database=database, cluster=cluster)
    async with database.connection() as connection:
        await connection.execute(
            "insert into fence (name, state, boot_id, episode, policy, promise_s, figures, attempt,"
            " changed_at, reason)"
            " values ('worker-1', 'released', 'b', 1, 'fast', 0, '{}', 0, now(), '')"
        )
    (before,) = await cluster.nodes()
    await tasks.round()
    node = api.nodes["worker-1"]
    keys = {taint["key"] for taint in node["spec"]["taints"]}
    assert keys == {"dedicated", "services", "node.kubernetes.io/out-of-service"}
    assert set(node["metadata"]["annotations"][OWNED].split(",")) == set(Part)
    stale = change(before, RELEASED, empty=True)
    assert stale is not None
    assert not await cluster.patch(stale)
    api.away = True
    with pytest.raises(Unavailable, match="503"):
        await tasks.round()
    cluster.close()


def test_cluster_is_refused_when_its_configuration_is_no_use(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no cluster"):
        Cluster(str(tmp_path / "nothing"), "")
    assert LOCKED.locked
