"""OpenTelemetry, when the standard OTEL_ variables ask for it; otherwise nothing is imported.

Traces go by OTLP over HTTP (`OTEL_EXPORTER_OTLP_ENDPOINT` or `…_TRACES_ENDPOINT`), sampled as
`OTEL_TRACES_SAMPLER` says. HTTP, NATS and PostgreSQL carry one trace: W3C traceparent in headers,
in the outbox row, and on the event.
"""

import os

from opentelemetry import trace

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted() -> bool:
    """Whether the environment names a collector."""
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and any(
        os.environ.get(name) for name in ENDPOINTS
    )


def configure(service: str) -> None:
    """Export this process's traces if wanted. Call before HTTP apps and pools are made."""
    if not wanted() or _state["configured"]:
        return
    _state["configured"] = True
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": service, "service.namespace": "murmuration"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    AsyncPGInstrumentor().instrument(tracer_provider=provider)


def flush(timeout_s: float = 2.0) -> None:
    """Send what waits; at the end of a process."""
    flusher = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flusher is not None:
        flusher(int(timeout_s * 1_000))


_state = {"configured": False}
