"""What goes wrong is one sentence, what to do, and the right exit code."""

import asyncio
import json
import signal
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from murmuration.proto.api import Problem

from .conftest import HOSTS, TOKEN, Gateway, Mur, problem, until


def site_file(folder: Path, **content: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.json").write_text(json.dumps(content))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_no_site_is_a_usage_error_that_names_the_place(mur: Mur) -> None:
    result = mur.process("host", "list", MUR_URL="")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"mur: No site found: there is no {mur.home}/.local/state/murmuration/site.json.\n"
        "     Start one with `./just up`, or name one with --site or --url.\n"
    )


def test_nothing_listening_is_not_reachable(mur: Mur) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = mur.process("host", "list", MUR_URL=url)
    assert (result.code, result.out) == (3, "")
    assert result.err == (
        f"mur: {url} cannot be reached: nothing listens there.\n     Check --url or MUR_URL.\n"
    )


def test_a_stopped_site_is_told_from_its_file(mur: Mur) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    site_file(mur.home / "state", url=f"http://127.0.0.1:{free_port()}", token="x", pid=gone.pid)
    result = mur("host", "list", MUR_URL="", MUR_STATE_DIR=str(mur.home / "state"))
    assert result.code == 3
    assert "nothing listens there, and its supervisor is not running" in result.err
    assert "./just up" in result.err


def test_a_name_that_does_not_resolve_is_not_reachable(mur: Mur) -> None:
    result = mur("site", MUR_URL="http://nowhere.invalid:8780")
    assert result.code == 3
    assert "http://nowhere.invalid:8780 cannot be reached" in result.err


def test_a_wrong_token_is_refused_and_says_where_to_find_one(mur: Mur) -> None:
    result = mur.process("host", "list", MUR_TOKEN="wrong")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "mur: The site does not accept this token.\n"
        "     Set MUR_TOKEN to the token in the URL that `up` printed.\n"
    )


def test_no_token_says_what_the_site_says(mur: Mur) -> None:
    result = mur("host", "list", MUR_TOKEN="")
    assert (result.code, result.err.splitlines()[0]) == (1, "mur: No token, or a wrong one.")


def test_an_unknown_host_is_named(mur: Mur) -> None:
    result = mur("host", "show", "worker-9")
    assert result.code == 1
    assert result.err == (
        "mur: There is no host worker-9.\n     `mur host list` names every host.\n"
    )


@pytest.mark.parametrize("name", ["Worker 1", "../site", "", "-x", "a" * 64])
def test_what_cannot_be_a_host_name_is_not_asked_for(mur: Mur, gateway: Gateway, name: str) -> None:
    result = mur("host", "show", "--", name)
    assert result.code == 2
    assert "is not a host name" in result.err
    assert gateway.seen == []


def test_an_alarm_id_must_be_one_and_tell_it_apart(mur: Mur) -> None:
    assert mur("alarm", "show", "xyz").code == 2
    twice = mur("alarm", "show", "b0a1f0de")
    assert twice.code == 2
    assert "More than one alarm's id begins with b0a1f0de." in twice.err
    none = mur("alarm", "show", "ffff")
    assert (none.code, none.err.splitlines()[0]) == (
        1,
        "mur: No active alarm's id begins with ffff.",
    )


def test_errors_in_json_are_problem_details_on_stderr(mur: Mur) -> None:
    refused = mur("host", "show", "worker-9", "--json")
    assert refused.out == ""
    assert msgspec.json.decode(refused.err, type=Problem) == Problem(
        type="about:blank", title="Not Found", status=404, detail="There is no host worker-9."
    )
    away = mur("host", "list", "--json", MUR_URL=f"http://127.0.0.1:{free_port()}")
    assert msgspec.json.decode(away.err, type=Problem).status == 0
    wrong = mur("host", "list", "--json", "--limit", "3")
    assert wrong.code == 2
    assert msgspec.json.decode(wrong.err, type=Problem).title == "Usage"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nope", 'Unknown command "nope"'),
        ("host lokc worker-1", 'Did you mean "lock"?'),
        ("host lock", "HOST"),
        ("host show worker-1 worker-2", "worker-2"),
        ("event list --limit many", "--limit"),
        ("event list --limit 0", "--limit must be from 1 to 1000."),
        ("alarm list --severity bad", '"critical", "major"'),
        ("host lock worker-1 --operation-id short", "--operation-id must be 8 to 64"),
        ("site --url ftp://x", "is not a URL of a site"),
        ("site --timeout 0", "--timeout must be more than 0"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(mur: Mur, words: str, said: str) -> None:
    result = mur(*words.split())
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "Traceback" not in result.err


def test_unavailable_points_at_health(mur: Mur, gateway: Gateway) -> None:
    async def away(_request: web.Request) -> web.StreamResponse:
        return problem(503, "Service Unavailable", "sysinv does not answer")

    gateway.handlers["/api/v1/hosts/worker-1/actions"] = away
    result = mur("host", "lock", "worker-1")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("mur: sysinv does not answer.\n     Try again in a moment; `mur h")


def test_an_answer_that_is_not_the_site_s_is_told(mur: Mur, gateway: Gateway) -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>router</html>", content_type="text/html")

    async def other(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"name": 7})

    gateway.handlers["/api/v1/site"] = page
    gateway.handlers["/api/v1/hosts"] = other
    assert "is not a Murmuration site: it answered text/html" in mur("site").err
    result = mur("host", "list")
    assert (result.code, "is not what mur expects" in result.err) == (1, True)


def test_a_read_without_an_answer_ends_in_time(mur: Mur, gateway: Gateway) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    gateway.handlers["/api/v1/hosts"] = never
    result = mur("host", "list", "--timeout", "0.2")
    assert result.code == 3
    assert f"{gateway.url} did not answer within 0.2 s." in result.err


def test_an_answer_that_drips_ends_in_time(mur: Mur, gateway: Gateway) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    gateway.handlers["/api/v1/hosts"] = drip
    assert mur("host", "list", "--timeout", "0.3").code == 3


def test_an_answer_cut_short_is_not_taken_for_whole(mur: Mur, gateway: Gateway) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Content-Length": "5000"}
        )
        await response.prepare(request)
        await response.write(b'{"items":[]')
        assert request.transport is not None
        request.transport.close()
        return response

    gateway.handlers["/api/v1/hosts"] = cut
    result = mur("host", "list", "--json")
    assert (result.code, result.out) == (3, "")


def test_a_change_whose_answer_was_lost_is_asked_for_again_and_done_once(
    mur: Mur, gateway: Gateway
) -> None:
    path = "/api/v1/hosts/worker-1/actions"

    async def lose(request: web.Request) -> web.StreamResponse:
        del gateway.handlers[path]
        await gateway.answer(request)  # it is done; only the answer is lost
        gateway.seen.pop()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    gateway.handlers[path] = lose
    result = mur("host", "lock", "worker-1")
    assert result.code == 0
    assert result.out == "worker-1 is to be lock, as operator asked (1).\n"
    assert "asking again with the same operation id" in result.err
    first, second = (msgspec.json.decode(seen.body) for seen in gateway.seen)
    assert first == second
    assert len(gateway.operations) == 1


def test_a_change_that_is_never_answered_says_how_to_ask_again(mur: Mur, gateway: Gateway) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    gateway.handlers["/api/v1/hosts/worker-1/actions"] = never
    result = mur("host", "lock", "worker-1", "--timeout", "0.3", "--operation-id", "operation-77")
    assert (result.code, result.out) == (3, "")
    assert result.err.count("asking again with the same operation id") == 2
    assert {msgspec.json.decode(seen.body)["operation_id"] for seen in gateway.seen} == {
        "operation-77"
    }
    assert "What became of the request is not known." in result.err
    assert "--operation-id operation-77" in result.err


def test_ctrl_c_ends_without_a_traceback(mur: Mur, gateway: Gateway) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    gateway.handlers["/api/v1/hosts"] = never
    running = mur.start("host", "list")
    until(lambda: bool(gateway.seen), "mur asked")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, "", "")


def test_a_reader_that_goes_away_ends_it_quietly(mur: Mur, gateway: Gateway) -> None:
    gateway.hosts = tuple(
        msgspec.structs.replace(HOSTS[0], name=f"host-{n}", reason="x" * 200) for n in range(3000)
    )
    gateway.page_size = 10_000
    running = mur.start("host", "list", "--json")
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait(30) == 141


def test_the_token_of_the_file_goes_only_to_its_site(mur: Mur, gateway: Gateway) -> None:
    site_file(
        mur.home / "state", url=f"{gateway.url}/?token={TOKEN}", token=TOKEN, name="murmuration"
    )
    state = {"MUR_STATE_DIR": str(mur.home / "state"), "MUR_URL": "", "MUR_TOKEN": ""}
    assert mur("host", "list", **state).code == 0
    assert mur("host", "list", "--url", gateway.url, **state).code == 0
    other = gateway.url.replace("127.0.0.1", "localhost")
    assert mur("host", "list", "--url", other, **state).code == 1
    assert "Authorization" not in gateway.last.headers


def test_the_site_can_be_named_in_every_way(mur: Mur, gateway: Gateway) -> None:
    folder = mur.home / "elsewhere"
    site_file(folder, url=gateway.url, token=TOKEN)
    bare = {"MUR_URL": "", "MUR_TOKEN": ""}
    assert mur("site", "--site", str(folder), **bare).code == 0
    assert mur("site", "--site", str(folder / "site.json"), **bare).code == 0
    assert mur("--site", str(folder), "site", **bare).code == 0
    assert mur("site", "--url", f"{gateway.url}/?token={TOKEN}", **bare).code == 0
    assert mur("site", "--url", gateway.url, "--token", TOKEN, **bare).code == 0
    xdg = mur.home / "xdg"
    site_file(xdg / "murmuration", url=gateway.url, token=TOKEN)
    assert mur("site", XDG_STATE_HOME=str(xdg), **bare).code == 0
    away = f"http://127.0.0.1:{free_port()}"
    assert mur("site", "--site", str(folder), MUR_URL=away, MUR_TOKEN="").code == 0


def test_a_damaged_site_file_is_told(mur: Mur) -> None:
    folder = mur.home / "state"
    folder.mkdir()
    (folder / "site.json").write_text("{")
    result = mur("site", "--site", str(folder), MUR_URL="")
    assert result.code == 2
    assert "site.json cannot be read" in result.err
