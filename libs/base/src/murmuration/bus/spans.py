"""The consumer's end of a trace: a span under the one in which the change was made."""

import contextlib
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from murmuration.bus.message import Delivery
from murmuration.proto.envelope import TRACEPARENT

tracer = trace.get_tracer("murmuration.bus")
_PROPAGATOR = TraceContextTextMapPropagator()


def consumer_span(delivery: Delivery) -> AbstractContextManager[object]:
    """A span for taking in one message; nothing where its change was not traced."""
    parent = delivery.traceparent
    if parent is None:
        return contextlib.nullcontext()
    return tracer.start_as_current_span(
        f"consume {delivery.type}",
        context=_PROPAGATOR.extract({TRACEPARENT: parent}),
        kind=trace.SpanKind.CONSUMER,
    )
