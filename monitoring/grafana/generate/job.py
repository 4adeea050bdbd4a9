"""Job drill-down: one job, from its exemplar to its trace to its log lines."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import PLATFORM, dashboard, textbox
from monitoring.grafana.generate.panels import Json, quantile, query, text, timeseries

_ELASTICSEARCH: Final = {"type": "elasticsearch", "uid": "elasticsearch"}
_JAEGER: Final = {"type": "jaeger", "uid": "jaeger"}
_PLATFORM = 'platform=~"$platform"'

_HELP: Final = """\
1. Find the job: a dot in the chart beside is one session; its *trace_id* opens the trace. Or take the id from
   `edgeprof jobs`, and the trace id from `edgeprof job ID`.
2. Put the job id, or the trace id, into the fields above.
3. The trace shows where the time went: queue wait, connection, loading, each test case, prefill and decode by
   the board's own clock. A retry links to the attempt before it.
4. The log lines below carry the same ids."""


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
                    timeseries(
                        "Sessions",
                        "95th percentile of session duration; each dot is a session, with its trace id.",
                        [
                            query(
                                quantile(
                                    0.95,
                                    f"profiling_duration_seconds_bucket{{{_PLATFORM}}}",
                                    "platform",
                                ),
                                "{{platform}}",
                                exemplar=True,
                            )
                        ],
                        unit="s",
                    ),
                    16,
                ),
            ],
        ),
        ("", 14, [(_trace(), 24)]),
        ("", 12, [(_logs(), 24)]),
    ],
)
