"""One span per request, continuing the caller's trace (W3C Trace Context).

Only OpenTelemetry's API is used here: without an SDK set up elsewhere a span costs next to nothing.
"""

from aiohttp import web
from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from murmuration.web.problems import Handler

tracer = trace.get_tracer("murmuration.web")
propagator = TraceContextTextMapPropagator()


@web.middleware
async def tracing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: the request's span, named by its route, with the answer's status."""
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else "unknown"
    with tracer.start_as_current_span(
        f"{request.method} {path}",
        context=propagator.extract(request.headers, context=context.get_current()),
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": request.method, "http.route": path},
    ) as span:
        response = await handler(request)
        span.set_attribute("http.response.status_code", response.status)
        return response
