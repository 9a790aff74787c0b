"""pyghmi's command with a wait of its own. Imported only where IPMI is spoken: it costs memory.

pyghmi's synchronous wait misses an answer that comes before it has begun to wait, and then sleeps
until its retry timer (0.5 to 1 s a command, seen on loopback). And told not to repeat a command, it
does not wait at all. Here an answer is taken by callback, looked for every `LOOK_S`.
"""

import time
from typing import Any, Final

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.private.session import get_ipmi_error

LOOK_S: Final = 0.02
ONCE_S: Final = 5.0  # a BMC answers in milliseconds, a busy one within some seconds
REPEATED_S: Final = 15.0  # what pyghmi's own retries take at most


class IpmiCommand(Command):
    """One session. Whoever calls it does so from one thread at a time."""

    def raw_command(  # noqa: PLR0917 - pyghmi's signature
        self,
        netfn: int,
        command: int,
        bridge_request: Any = (),
        data: Any = (),
        delay_xmit: float | None = None,
        retry: bool = True,  # noqa: FBT001, FBT002
        timeout: float | None = None,
        rslun: int = 0,
    ) -> Any:
        """The answer, with `error` where its code is one; None when none came to a single packet.

        Raises IpmiException when the session broke.
        """
        session: Any = self.ipmi_session
        answers: list[dict[str, Any]] = []
        session.raw_command(
            netfn=netfn,
            command=command,
            bridge_request=bridge_request,
            data=data,
            delay_xmit=delay_xmit,
            retry=retry,
            timeout=timeout,
            rslun=rslun,
            callback=answers.append,
        )
        deadline = time.monotonic() + (REPEATED_S if retry else ONCE_S)
        while not answers and not session.broken and time.monotonic() < deadline:
            self.wait_for_rsp(LOOK_S)
        session.incommand = False
        while session.evq:
            session.evq.popleft().set()
        if not answers and retry:
            raise IpmiException("no answer")
        if not answers:
            return None
        error = get_ipmi_error(answers[0])
        return answers[0] | {"error": error} if error else answers[0]

    def xraw_command(self, *args: Any, **named: Any) -> Any:
        """As raw_command; an error code raises IpmiException, data is a buffer."""
        answer = self.raw_command(*args, **named)
        if "error" in answer:
            raise IpmiException(answer["error"], answer["code"])
        return answer | {"data": memoryview(answer["data"])}
