"""Socket activation with a real child process."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

CHILD = """
import asyncio, sys
from aiohttp import web
from murmuration.web.guard import GuardPolicy
from murmuration.web.server import listening_socket, make_app, serve

async def main():
    app = make_app(GuardPolicy())
    async def hello(request):
        return web.Response(text="hello")
    app.router.add_get("/", hello)
    listener = listening_socket("gateway.http", "127.0.0.1:1", authenticated=False)
    async with serve(app, listener):
        print("up", file=sys.stderr, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def test_a_server_listens_on_the_socket_it_inherits_by_name(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        port = second.getsockname()[1]
        high = [os.dup(s.fileno()) for s in (first, second)]
        launcher = (
            "import fcntl,os,sys\n"
            f"a,b=(fcntl.fcntl(n,fcntl.F_DUPFD,10) for n in ({high[0]},{high[1]}))\n"
            "os.dup2(a,3); os.dup2(b,4)\n"
            "os.environ.update(LISTEN_FDS='2',LISTEN_FDNAMES='other:gateway.http',"
            "LISTEN_PID=str(os.getpid()))\n"
            "os.execv(sys.executable,[sys.executable,'-c',sys.argv[1]])\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", launcher, CHILD],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=high,
            cwd=tmp_path,
        )
        for descriptor in high:
            os.close(descriptor)
        assert child.stdin is not None
        assert child.stderr is not None
        try:
            assert b"up\n" in child.stderr
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                assert answer.read() == b"hello"
        finally:
            child.stdin.close()
            assert child.wait(20) == 0
            child.stderr.close()
