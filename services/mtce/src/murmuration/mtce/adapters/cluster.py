"""Kubernetes, by its own client in a pool of named threads; imported only where one is configured.

A patch bears the version that was read: if anything else changed the node meanwhile it is refused
(409) and the next look decides anew. An eviction that a disruption budget forbids (429) is asked
for again by the next look.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from murmuration.kernel.errors import DeadlineExceeded, Rejected, Unavailable
from murmuration.mtce.core.cluster import OWNED, Change, Node, Part, Taint

THREADS: Final = 4
ANSWER_S: Final = 10.0
NODES_MAX: Final = 5_000  # what Kubernetes itself supports
PODS_MAX: Final = 1_000  # on one node: its own default is 110
KEPT_BY: Final = frozenset({"DaemonSet", "Node"})  # these would come back at once, or are static

R = TypeVar("R")


class Cluster:
    """One cluster. Methods raise Unavailable when surely nothing was done."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        """Raises Rejected when the configuration cannot be used."""
        from kubernetes import client, config

        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="cluster")
        try:
            api = config.new_client_from_config(kubeconfig, context=context or None)
        except (config.ConfigException, OSError) as error:
            raise Rejected(f"{kubeconfig} leads to no cluster: {error}") from error
        self._core: Any = client.CoreV1Api(api)
        self._client: Any = client
        self._api: Any = api

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def nodes(self) -> list[Node]:
        """Every node."""
        found = await self._call(lambda: self._core.list_node(limit=NODES_MAX, **_BOUND))
        return [_node(each) for each in found.items]

    async def patch(self, change: Change) -> bool:
        """Bring a node to a change; False when it was changed meanwhile or is gone."""
        body = {
            "metadata": {
                "resourceVersion": change.version,
                "annotations": {OWNED: ",".join(sorted(change.owned)) or None},
            },
            "spec": {
                "unschedulable": True if change.cordoned else None,
                "taints": [
                    {"key": each.key, "value": each.value, "effect": each.effect}
                    for each in change.taints
                ]
                or None,
            },
        }
        return await self._asked(
            lambda: self._core.patch_node(
                change.name, body, _content_type="application/merge-patch+json", **_BOUND
            ),
            refusals=(404, 409),
        )

    async def pods(self, node: str) -> list[tuple[str, str]]:
        """(namespace, name) of what runs on a node and can be evicted."""
        selector = f"spec.nodeName={node}"
        found = await self._call(
            lambda: self._core.list_pod_for_all_namespaces(
                field_selector=selector, limit=PODS_MAX, **_BOUND
            )
        )
        return [
            (pod.metadata.namespace, pod.metadata.name) for pod in found.items if _evictable(pod)
        ]

    async def evict(self, namespace: str, name: str) -> bool:
        """Ask for an eviction; False while a disruption budget forbids it. May be repeated."""
        body = self._client.V1Eviction(
            metadata=self._client.V1ObjectMeta(name=name, namespace=namespace)
        )
        return await self._asked(
            lambda: self._core.create_namespaced_pod_eviction(name, namespace, body, **_BOUND),
            refusals=(429,),
            fine=(404,),
        )

    async def _asked(
        self,
        ask: Callable[[], object],
        *,
        refusals: tuple[int, ...],
        fine: tuple[int, ...] = (),
    ) -> bool:
        try:
            await self._call(ask)
        except _Refused as refused:
            if refused.status in fine:
                return True
            if refused.status in refusals:
                return False
            raise
        return True

    async def _call(self, ask: Callable[[], R]) -> R:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2 * ANSWER_S):
                return await loop.run_in_executor(self._pool, self._ask, ask)
        except TimeoutError as error:
            raise DeadlineExceeded("the cluster does not answer") from error

    @staticmethod
    def _ask(ask: Callable[[], R]) -> R:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return ask()
        except ApiException as error:
            raise _Refused(error.status or 0, str(error.reason)[:200]) from error
        except (HTTPError, OSError) as error:
            raise Unavailable(f"the cluster is away: {type(error).__name__}") from error


class _Refused(Unavailable):
    """The cluster answered an error; nothing was done."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the cluster answers {code} {reason}")
        self.status = code  # type: ignore[misc]  # of this answer


_BOUND = {"_request_timeout": ANSWER_S}


def _node(node: Any) -> Node:
    marks = (node.metadata.annotations or {}).get(OWNED, "").split(",")
    taints = node.spec.taints or ()
    return Node(
        name=str(node.metadata.name),
        version=str(node.metadata.resource_version),
        cordoned=bool(node.spec.unschedulable),
        taints=tuple(Taint(each.key, each.value or "", each.effect) for each in taints),
        owned=frozenset(part for part in Part if part.value in marks),
    )


def _evictable(pod: Any) -> bool:
    owners = pod.metadata.owner_references or ()
    over = pod.status is not None and pod.status.phase in ("Succeeded", "Failed")
    return not over and not any(owner.kind in KEPT_BY for owner in owners)
