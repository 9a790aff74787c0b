"""The provisioner: creates and updates streams and buckets as the contract declares them.

Nobody else may. `python -m murmuration.bus.provision` with MUR_CONFIG; may be repeated at any time.
"""

import asyncio
import sys
from pathlib import Path

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from murmuration.bus.connection import Bus, open_bus
from murmuration.kernel.errors import MurmurationError, Unavailable
from murmuration.proto import registry
from murmuration.proto.registry import BUCKETS, STREAMS, BucketSpec, Permanence, StreamSpec
from murmuration.runtime.config import load_config

BUCKET_BYTES_MAX = 256 * 2**20
READY_S = 60.0  # JetStream may still be recovering its files, or wait for a busy disk
MESSAGE_BYTES_MAX = 512 * 1024
_REFUSE = (Permanence.INTAKE, Permanence.ORDERS)  # full: the sender waits and says so


def stream_config(spec: StreamSpec, *, replicas: int) -> StreamConfig:
    """JetStream's view of a declared stream."""
    return StreamConfig(
        name=spec.name,
        description=spec.summary,
        subjects=list(spec.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        num_replicas=replicas,
        discard=DiscardPolicy.NEW if spec.permanence in _REFUSE else DiscardPolicy.OLD,
        max_bytes=spec.size_bytes_max,
        max_age=spec.age_s_max,
        max_msg_size=MESSAGE_BYTES_MAX,
        duplicate_window=1,  # exactness is (epoch, change), not the server's memory
        allow_direct=True,
        deny_delete=True,
        deny_purge=True,
    )


def bucket_config(spec: BucketSpec, *, replicas: int) -> StreamConfig:
    """A key-value bucket as the stream it is; readable by direct requests."""
    return StreamConfig(
        name=f"KV_{spec.name}",
        description=spec.summary,
        subjects=[f"$KV.{spec.name}.>"],
        storage=StorageType.FILE,
        num_replicas=replicas,
        discard=DiscardPolicy.NEW,
        max_msgs_per_subject=1,
        max_bytes=BUCKET_BYTES_MAX,
        max_msg_size=MESSAGE_BYTES_MAX,
        duplicate_window=1,
        allow_direct=True,
        allow_rollup_hdrs=True,
        deny_delete=True,
    )


async def _ensure(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await js.add_stream(config)
    except nats.js.errors.BadRequestError as error:
        if error.err_code != 10058:  # there already, with another configuration
            raise
        await js.update_stream(config)


async def provision(bus: Bus, *, replicas: int = 1) -> int:
    """Make all streams and buckets as declared; returns how many there are.

    Raises Unavailable when JetStream does not answer in READY_S.
    """
    registry.load()
    wanted = [stream_config(spec, replicas=replicas) for spec in STREAMS.values()]
    wanted += [bucket_config(spec, replicas=replicas) for spec in BUCKETS.values()]
    deadline = asyncio.get_running_loop().time() + READY_S
    for config in wanted:
        while True:
            try:
                await _ensure(bus.js, config)
                break
            except (nats.errors.Error, nats.js.errors.ServerError, TimeoutError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise Unavailable(f"JetStream does not make {config.name}: {error}") from error
                await asyncio.sleep(0.1)
    return len(wanted)


async def _main() -> int:
    config = load_config("provisioner")
    credentials = config.credentials().bus
    async with open_bus(config.bus, credentials, identity="provisioner") as bus:
        await provision(bus, replicas=config.bus.replicas)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_main()))
    except MurmurationError as failure:
        sys.stderr.write(f"{Path(sys.argv[0]).stem}: {failure}\n")
        sys.exit(1)
