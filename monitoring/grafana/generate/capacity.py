"""Capacity: how busy the boards are, when the queue will be empty, and how many more would help."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import PLATFORM, choice, dashboard
from monitoring.grafana.generate.fields import GREEN, RED, YELLOW, override
from monitoring.grafana.generate.panels import bars, table, timeseries
from monitoring.grafana.generate.queries import query

_PLATFORM = 'platform=~"$platform"'
_QUEUED = f"sum by (platform) (platform:edgeprof_queued_board_seconds:sum{{{_PLATFORM}}})"
_IN_SERVICE = f"sum by (platform) (platform:edgeprof_boards_in_service:sum{{{_PLATFORM}}})"
_DEADLINE = choice(
    "deadline",
    "Deadline",
    {
        "15 minutes": "900",
        "1 hour": "3600",
        "4 hours": "14400",
        "12 hours": "43200",
        "1 day": "86400",
    },
    "1 hour",
)

DASHBOARD: Final = dashboard(
    "tlep-capacity",
    "Capacity",
    "How busy the boards are, when the queue will be empty, and how many more boards would meet"
    " a deadline.",
    [PLATFORM, _DEADLINE],
    [
        (
            "",
            7,
            [
                (
                    table(
                        "Forecast by platform",
                        "What the jobs that wait will cost, over the boards in service (online"
                        " or busy). A job costs what its model did before, else what the"
                        " profiles of the platform predict, else what a job cost on average in"
                        " the last day; where nothing tells it there is no forecast.",
                        {"platform": "platform"},
                        [
                            (_IN_SERVICE, "boards in service", "none"),
                            (
                                f"sum by (platform) (edgeprof_queue_jobs{{{_PLATFORM}}})",
                                "jobs waiting",
                                "none",
                            ),
                            (
                                f"sum by (platform) (edgeprof_queue_expected_jobs{{{_PLATFORM}}})",
                                "with expected time",
                                "none",
                            ),
                            (
                                (
                                    f"sum by (platform)"
                                    f" (platform:profiling_duration_seconds:mean1d{{{_PLATFORM}}})"
                                ),
                                "mean job",
                                "s",
                            ),
                            (_QUEUED, "queued work", "s"),
                            (f"{_QUEUED} / ({_IN_SERVICE} > 0)", "empty in", "s"),
                            (
                                f"clamp_min(ceil({_QUEUED} / $deadline) - {_IN_SERVICE}, 0)",
                                "boards missing",
                                "none",
                            ),
                        ],
                        overrides=[
                            override(
                                "boards missing",
                                steps=((None, GREEN), (1, YELLOW), (5, RED)),
                            )
                        ],
                    ),
                    24,
                )
            ],
        ),
        (
            "",
            9,
            [
                (
                    timeseries(
                        "Board utilization",
                        "Share of the boards in service that run a job. Near 1 for long: add a"
                        " board.",
                        [
                            query(
                                f"platform:edgeprof_board_utilization:ratio{{{_PLATFORM}}}",
                                "{{platform}}",
                            )
                        ],
                        unit="percentunit",
                        steps=((None, GREEN), (0.9, RED)),
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Queued work",
                        "In board-seconds: one board alone would be busy so long.",
                        [query(_QUEUED, "{{platform}}")],
                        unit="s",
                        stacked=True,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Queue empty in",
                        "With the boards in service now, if nothing is added.",
                        [query(f"{_QUEUED} / ({_IN_SERVICE} > 0)", "{{platform}}")],
                        unit="s",
                    ),
                    8,
                ),
            ],
        ),
        (
            "",
            9,
            [
                (
                    bars(
                        "Busiest boards",
                        "Share of the time shown that each board ran a job.",
                        "sort_desc(sum by (device_id)"
                        f" (avg_over_time(profiling_sessions_active{{{_PLATFORM}}}[$__range])))",
                        "{{device_id}}",
                        unit="percentunit",
                        steps=((None, GREEN), (0.7, YELLOW), (0.9, RED)),
                    ),
                    12,
                ),
                (
                    timeseries(
                        "Cost of a job",
                        "Mean session duration of the last day, for jobs of which nothing better"
                        " is known.",
                        [
                            query(
                                f"platform:profiling_duration_seconds:mean1d{{{_PLATFORM}}}",
                                "{{platform}}",
                            )
                        ],
                        unit="s",
                    ),
                    12,
                ),
            ],
        ),
    ],
    since="now-6h",
)
