"""What would be done with a host, and why it is as it is."""

from collections.abc import Iterable, Mapping

from rich.console import RenderableType
from rich.text import Text

from murmuration.cli.render import clean, plain, table
from murmuration.cli.session import Session
from murmuration.proto.mtce import HostPlan, HostWhy

NOTHING = ("", "0", "none")


def plan_view(plan: HostPlan) -> Iterable[RenderableType]:
    """The stages, the longest each may take, and what follows if it takes longer."""
    yield Text(clean(plan.reason))
    for who in plan.affected:
        yield Text(f"Affected: {clean(who)}.", style="yellow")
    if not plan.stages:
        return
    rows = table("#", "WHAT", "AT MOST", "EFFECT", "ELSE", flexible=("WHAT", "ELSE"))
    for number, stage in enumerate(plan.stages, 1):
        effect = f"{stage.effect}, once" if stage.once else stage.effect
        rows.add_row(
            str(number),
            plain(stage.text),
            plain(_seconds(stage.deadline_s)),
            plain(effect),
            plain(stage.otherwise),
        )
    yield rows
    yield Text("Nothing was changed.", style="dim")


def why_view(why: HostWhy, *, session: Session) -> Iterable[RenderableType]:
    """The decisions, oldest first; the last one holds."""
    if not why.steps:
        yield Text(f"Nothing was decided about {clean(why.host)} yet.")
        return
    for step in why.steps:
        at = session.moment(step.at)
        yield Text.assemble((f"{at:%Y-%m-%d %H:%M:%S}  ", "dim"), (clean(step.state), "bold"))
        yield Text(f"  {clean(step.reason)}")
        facts = [f"input {clean(step.input)}"] if step.input else []
        facts += [clean(step.stage)] if step.stage else []
        facts += [f"operation {clean(step.operation_id)}"] if step.operation_id else []
        facts += [f"{clean(key)} {clean(value)}" for key, value in _telling(step.evidence)]
        if facts:
            yield Text(f"  {', '.join(facts)}", style="dim")


def _telling(evidence: Mapping[str, str]) -> list[tuple[str, str]]:
    """Without what is nought or not known: `--json` has all of it."""
    return [(key, value) for key, value in evidence.items() if value not in NOTHING]


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s" if seconds else ""
