"""One trace from the HTTP request over the command to the row and the event's consumers."""

import aiohttp
import asyncpg
from tests.e2e.live.otlp import Receiver

from murmuration.runtime.config import load_config
from murmuration.testkit.levels import reaches
from murmuration.testkit.site import Site

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_one_trace_runs_from_the_request_to_the_row_and_the_events_consumers(
    live: Site, collector: Receiver
) -> None:
    headers = {**live.headers, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for administrative in ("locked", "unlocked"):
            url = f"{live.url}/api/v1/hosts/worker-2/administrative"
            async with session.put(url, json={"administrative": administrative}) as response:
                assert response.status == 200, await response.text()

    wanted = {
        ("gateway", "PUT /api/v1/hosts/{name}/administrative"),
        ("gateway", "request sysinv.host.act.v1"),
        ("sysinv", "serve sysinv.cmd.host.act"),
        ("mtce", "consume sysinv.host.changed.v1"),
        ("gateway", "consume sysinv.host.changed.v1"),
        ("gateway", "consume mtce.host.state_changed.v1"),
    }

    def complete() -> bool:
        return wanted <= {(span.service, span.name) for span in collector.spans(TRACE)}

    try:
        await reaches(complete)
    except AssertionError:
        found = {(span.service, span.name) for span in collector.spans(TRACE)}
        raise AssertionError(f"missing: {wanted - found}, found: {found}") from None
    statements = {
        span.attributes.get("db.statement") or span.attributes.get("db.query.text") or span.name
        for span in collector.spans(TRACE)
        if span.service == "sysinv"
    }
    assert any("mur.append" in statement for statement in statements), statements

    config = load_config("sysinv", live.state_dir / "site.toml")
    login = config.credentials().database
    assert login is not None
    connection = await asyncpg.connect(
        host=config.store.host,
        port=config.store.port,
        user=login.user,
        password=login.password,
        database=login.name,
    )
    try:
        rows = await connection.fetch(
            "select type, traceparent from mur.outbox where traceparent like $1", f"%{TRACE}%"
        )
    finally:
        await connection.close()
    assert {row["type"] for row in rows} == {"sysinv.host.changed.v1", "mtce.host.act.v1"}
