"""Job drill-down: one job, from its exemplar to its trace to its log lines."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import PLATFORM, dashboard, textbox
from monitoring.grafana.generate.fields import FAULT_COLOURS
from monitoring.grafana.generate.panels import text, timeseries
from monitoring.grafana.generate.queries import Json, counted, quantile, query

_ELASTICSEARCH: Final = {"type": "elasticsearch", "uid": "elasticsearch"}
_JAEGER: Final = {"type": "jaeger", "uid": "jaeger"}
_PLATFORM = 'platform=~"$platform"'

_HELP: Final = """\
1. Find the job: a dot in a chart here is one job; its *trace_id* opens the trace. Or take the id
   from `edgeprof jobs`, and the trace id from `edgeprof job ID`.
2. Put the job id, or the trace id, into the fields above.
3. The trace shows where the time went: queue wait, connection, loading, each test case, prefill and
   decode by the board's own clock. A retry links to the attempt before it.
4. The log lines below carry the same ids."""


def _slowest(title: str, description: str, histogram: str) -> Json:
    """Return a panel with a dot for each job, and the line below which 95 % of them are."""
    selected = f"{histogram}_bucket{{{_PLATFORM}}}"
    return timeseries(
        title,
        f"{description} The line: 95th percentile. A dot is one job: it leads to its trace.",
        [query(quantile(0.95, selected, "platform"), "{{platform}}", exemplar=True)],
        unit="s",
    )


def _logs() -> Json:
    return {
        "type": "logs",
        "title": "Log lines of the job",
        "description": "From every process that had to do with it, by job id or trace id.",
        "datasource": _ELASTICSEARCH,
        "targets": [
            {
                "refId": "A",
                "datasource": _ELASTICSEARCH,
                "query": 'job_id:"$job" OR trace.id:"$trace"',
                "timeField": "@timestamp",
                "metrics": [{"id": "1", "type": "logs", "settings": {"limit": "500"}}],
                "bucketAggs": [],
            }
        ],
        "options": {
            "showTime": True,
            "wrapLogMessage": True,
            "enableLogDetails": True,
            "sortOrder": "Ascending",
            "dedupStrategy": "none",
            "showLabels": False,
            "showCommonLabels": False,
            "prettifyLogMessage": False,
        },
    }


def _trace() -> Json:
    return {
        "type": "traces",
        "title": "Trace of the job",
        "description": "From submit to the last token, with the board's own clock inside.",
        "datasource": _JAEGER,
        "targets": [{"refId": "A", "datasource": _JAEGER, "query": "$trace"}],
        "options": {},
    }


DASHBOARD: Final = dashboard(
    "tlep-job",
    "Job Drill-down",
    "Follow one job: metric, trace, log lines.",
    [PLATFORM, textbox("job", "Job id"), textbox("trace", "Trace id")],
    [
        (
            "",
            9,
            [
                (text("How to follow a job", _HELP), 8),
                (
                    _slowest(
                        "Sessions",
                        "From claiming a job to its result.",
                        "profiling_duration_seconds",
                    ),
                    16,
                ),
            ],
        ),
        (
            "",
            8,
            [
                (
                    _slowest(
                        "Time in the queue",
                        "Of each attempt.",
                        "profiling_queue_wait_seconds",
                    ),
                    8,
                ),
                (
                    _slowest(
                        "Time to load the model",
                        "Transfer, and the board's own check.",
                        "model_load_seconds",
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Failed attempts in 5 minutes, by class",
                        "Each failed attempt is in its job's trace, and in its log lines.",
                        [
                            query(
                                counted(f"profiling_errors_total{{{_PLATFORM}}}", "5m", "reason"),
                                "{{reason}}",
                            )
                        ],
                        unit="none",
                        decimals=0,
                        stacked=True,
                        colours=FAULT_COLOURS,
                    ),
                    8,
                ),
            ],
        ),
        ("", 14, [(_trace(), 24)]),
        ("", 12, [(_logs(), 24)]),
    ],
)
