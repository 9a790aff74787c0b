"""What an operator has done with a host, what it would do, and why a host is as it is."""

import time

from murmuration.cli.changes import chosen_operation_id, report
from murmuration.cli.commands.host import BUSY, NO_SUCH_HOST, WAIT_LIMIT_S, WAIT_STEP_S, host_path
from murmuration.cli.decoding import decode
from murmuration.cli.errors import Failed
from murmuration.cli.progress import say, waiting
from murmuration.cli.session import Session
from murmuration.proto.api import ActionReply, HostActionRequest
from murmuration.proto.mtce import HostPlan, HostStep, HostWhy
from murmuration.proto.sysinv import HostAction, RefusalCode

ENDED = ("completed", "failed", "refused")
GONE = 404
LOOK_BACK = 100  # decisions: more than an operation makes
WHY_LIMIT = 20


def lock(
    host: str,
    /,
    *,
    force: bool = False,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Lock a host: take it out of service so that it can be worked on.

    Args:
        host: The host's name.
        force: Restart it instead of waiting for its services to stop.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is locked.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    action = HostAction.FORCE_LOCK if force else HostAction.LOCK
    _act(
        host,
        action,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def unlock(
    host: str,
    /,
    *,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Unlock a host: put it back into service.

    Args:
        host: The host's name.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is unlocked and in service.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _act(
        host,
        HostAction.UNLOCK,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def reset(
    host: str,
    /,
    *,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Reset a locked host by its BMC, without asking what runs on it.

    Args:
        host: The host's name.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is up again.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _act(
        host,
        HostAction.RESET,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def reboot(
    host: str,
    /,
    *,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Reboot a locked host: by its agent, else by its BMC.

    Args:
        host: The host's name.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is up again.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _act(
        host,
        HostAction.REBOOT,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def power_on(
    host: str,
    /,
    *,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Turn a locked host on by its BMC.

    Args:
        host: The host's name.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is up.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _act(
        host,
        HostAction.POWER_ON,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def power_off(
    host: str,
    /,
    *,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Turn a locked host off by its BMC.

    Args:
        host: The host's name.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is off.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _act(
        host,
        HostAction.POWER_OFF,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def reinstall(
    host: str,
    /,
    *,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Reinstall a locked host over the network: what is on its disks is lost.

    Args:
        host: The host's name.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is installed and up.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _act(
        host,
        HostAction.REINSTALL,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def swact(
    host: str,
    /,
    *,
    force: bool = False,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Move a controller's activity to the other controller.

    Args:
        host: The name of the controller that is active.
        force: Also where the other controller is not in good order.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the activity has moved.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    action = HostAction.FORCE_SWACT if force else HostAction.SWACT
    _act(
        host,
        action,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def delete(
    host: str,
    /,
    *,
    dry_run: bool = False,
    wait: bool = False,
    wait_limit: float = WAIT_LIMIT_S,
    operation_id: str | None = None,
    session: Session,
) -> None:
    """Delete a locked host from the inventory; it is discovered again when its agent enrols.

    Args:
        host: The host's name.
        dry_run: Show what would be done; nothing is changed.
        wait: Wait until the host is gone.
        wait_limit: Seconds to wait at most, if not 120.
        operation_id: Repeat an earlier request by its id: the answer is the first one's.
    """
    _act(
        host,
        HostAction.DELETE,
        dry_run=dry_run,
        wait_s=wait_limit if wait else None,
        operation_id=operation_id,
        session=session,
    )


def why(host: str, /, *, limit: int = WHY_LIMIT, session: Session) -> None:
    """Say why a host is as it is: the last decisions about it, with their evidence.

    Args:
        host: The host's name.
        limit: Decisions to show at most, if not 20.
    """
    body = session.client.get(f"{host_path(host)}/why", {"limit": str(limit)}, hint=NO_SUCH_HOST)
    if session.as_json:
        session.print_json(body)
        return
    from murmuration.cli.views.host_action import why_view

    session.print(*why_view(decode(body, HostWhy), session=session))


def _act(
    host: str,
    action: HostAction,
    *,
    dry_run: bool,
    wait_s: float | None,
    operation_id: str | None,
    session: Session,
) -> None:
    request = HostActionRequest(action=action, operation_id=chosen_operation_id(operation_id))
    if dry_run:
        body = session.client.change("POST", f"{host_path(host)}/plan", request, hint=NO_SUCH_HOST)
        _show_plan(body, session)
        return
    path = f"{host_path(host)}/actions"
    reply = report(session.client.change("POST", path, request, hint=NO_SUCH_HOST), session)
    if wait_s is not None:
        _wait_for(host, action, reply, wait_s, session)


def _show_plan(body: bytes, session: Session) -> None:
    plan = decode(body, HostPlan)
    if session.as_json:
        session.print_json(body)
    else:
        from murmuration.cli.views.host_action import plan_view

        session.print(*plan_view(plan))
    if plan.refusal is not RefusalCode.NONE:
        raise Failed(f"It would be refused ({plan.refusal}).", plan.reason)


def _wait_for(
    host: str, action: HostAction, reply: ActionReply, limit_s: float, session: Session
) -> None:
    """Wait for the end of the operation, telling its stages. Raises Failed when it failed."""
    deadline = time.monotonic() + limit_s
    told = ""
    with waiting(f"Waiting until {action.value} of {host} is done"):
        while True:
            steps = _steps(host, action, reply, session)
            ended = next((s for s in steps if s.input.endswith(ENDED)), None)
            if ended is not None:
                break
            if steps and steps[-1].reason != told:
                told = steps[-1].reason
                say(told)
            if time.monotonic() > deadline:
                raise Failed(
                    f"{action.value} of {host} is not done after {limit_s:g} s.",
                    f"The request stands; `mur host why {host}` shows how it goes on.",
                )
            time.sleep(WAIT_STEP_S)
    if not ended.input.endswith("completed"):
        raise Failed(f"{ended.input}: {ended.reason}", f"`mur host why {host}` says more.")
    if not session.as_json:
        from murmuration.cli.render import plain

        session.print(plain(f"{ended.input}: {ended.reason}."))


def _steps(host: str, action: HostAction, reply: ActionReply, session: Session) -> list[HostStep]:
    """What was decided for this operation so far; nothing while the site cannot tell."""
    try:
        body = session.client.get(f"{host_path(host)}/why", {"limit": str(LOOK_BACK)})
    except Failed as failed:
        if failed.problem.status in BUSY:
            return []
        if failed.problem.status == GONE and action is HostAction.DELETE:
            return [_gone(host, action, session)]
        raise
    steps = decode(body, HostWhy).steps
    return [step for step in steps if step.operation_id == reply.operation_id]


def _gone(host: str, action: HostAction, session: Session) -> HostStep:
    """Of a host that was deleted nothing is kept: that it is gone is the end."""
    return HostStep(
        at=session.now(),
        input=f"{action.value} completed",
        state="",
        reason=f"{host} is no longer part of the site",
    )
