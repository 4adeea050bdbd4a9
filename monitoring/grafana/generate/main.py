"""Main: what is going on in the lab, at a glance."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import DEVICE, HOST, PLATFORM, dashboard
from monitoring.grafana.generate.fields import (
    BLUE,
    FAULT_COLOURS,
    GREEN,
    GREY,
    QUANTILE_COLOURS,
    RED,
    TOKENS_PER_SECOND,
    YELLOW,
    override,
)
from monitoring.grafana.generate.panels import stat, table, timeseries
from monitoring.grafana.generate.queries import counted, quantile, query

_BOARD = 'platform=~"$platform", device_id=~"$device", host=~"$host"'
_PLATFORM = 'platform=~"$platform"'
_ALARMING = ((None, GREEN), (1, RED))

CONNECTED: Final = {"0": ("disconnected", RED), "1": ("connected", GREEN)}

DASHBOARD: Final = dashboard(
    "tlep-main",
    "Tiny LLM Edge Profiler - Main Dashboard",
    "What the lab is doing now: sessions, boards, queue, failures, speed.",
    [HOST, PLATFORM, DEVICE],
    [
        (
            "",
            4,
            [
                (
                    stat(
                        "Active Profiling Sessions",
                        "Boards that run a job at this moment.",
                        f"sum(profiling_sessions_active{{{_BOARD}}})",
                        steps=((None, BLUE),),
                    ),
                    4,
                ),
                (
                    stat(
                        "Boards at work",
                        "Boards that are busy with a job.",
                        f'sum(edgeprof_boards{{{_PLATFORM}, state="busy"}})',
                        steps=((None, BLUE),),
                    ),
                    3,
                ),
                (
                    stat(
                        "Boards in service",
                        "Boards that take jobs: online or busy.",
                        f'sum(edgeprof_boards{{{_PLATFORM}, state=~"online|busy"}})',
                        steps=((None, RED), (1, GREEN)),
                    ),
                    4,
                ),
                (
                    stat(
                        "Boards away",
                        "Boards the lab knows that are offline or quarantined.",
                        f'sum(edgeprof_boards{{{_PLATFORM}, state=~"offline|quarantined"}})',
                        steps=((None, GREEN), (1, YELLOW)),
                    ),
                    3,
                ),
                (
                    stat(
                        "Jobs waiting",
                        "Jobs in the queues, by our own count: Celery's exporters miss priorities.",
                        f"sum(edgeprof_queue_jobs{{{_PLATFORM}}}) or vector(0)",
                        steps=((None, BLUE),),
                    ),
                    3,
                ),
                (
                    stat(
                        "Dead letters",
                        "Jobs in the store that were given up after their last attempt.",
                        "max(edgeprof_dead_letter_jobs)",
                        steps=_ALARMING,
                    ),
                    3,
                ),
                (
                    stat(
                        "Alerts firing",
                        "Alerts that fire now; the table below names them.",
                        'count(ALERTS{alertstate="firing"}) or vector(0)',
                        steps=_ALARMING,
                    ),
                    4,
                ),
            ],
        ),
        (
            "",
            9,
            [
                (
                    timeseries(
                        "Model Performance by Platform",
                        "Decode speed of the last runs, averaged over models and types.",
                        [
                            query(
                                f"avg by (platform) (model_tokens_per_second{{{_PLATFORM}}})",
                                "{{platform}}",
                            )
                        ],
                        unit=TOKENS_PER_SECOND,
                        logarithmic=True,
                        wide=True,
                    ),
                    12,
                ),
                (
                    table(
                        "Device Connection Status",
                        "Every board that a host has seen, and the port it was last on.",
                        {
                            "device_id": "device",
                            "platform": "platform",
                            "host": "host",
                            "port": "port",
                        },
                        [(f"device_connection_status{{{_BOARD}}}", "status", "short")],
                        overrides=[
                            override("status", mapped=CONNECTED, width=120),
                            override("platform", width=120),
                            override("host", width=90),
                            override(
                                "device",
                                width=140,
                                link=(
                                    "Device Health",
                                    "/d/tlep-device-health?var-device=${__value.raw}",
                                ),
                            ),
                        ],
                    ),
                    12,
                ),
            ],
        ),
        (
            "",
            8,
            [
                (
                    timeseries(
                        "Sessions started in a minute",
                        "How many attempts at jobs began in the minute before, by platform.",
                        [
                            query(
                                counted(
                                    f"profiling_sessions_total{{{_PLATFORM}}}", "1m", "platform"
                                ),
                                "{{platform}}",
                            )
                        ],
                        unit="none",
                        decimals=0,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Session duration",
                        "Median and 95th percentile. A dot is one session: it leads to its trace.",
                        [
                            query(
                                quantile(0.5, f"profiling_duration_seconds_bucket{{{_PLATFORM}}}"),
                                "p50",
                            ),
                            query(
                                quantile(0.95, f"profiling_duration_seconds_bucket{{{_PLATFORM}}}"),
                                "p95",
                                exemplar=True,
                            ),
                        ],
                        unit="s",
                        colours=QUANTILE_COLOURS,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Failed attempts in 5 minutes",
                        "By class of fault; more than 3 of one class raise ProfilingSessionFailed.",
                        [
                            query(
                                counted(f"profiling_errors_total{{{_PLATFORM}}}", "5m", "reason"),
                                "{{reason}}",
                            )
                        ],
                        unit="none",
                        decimals=0,
                        colours=FAULT_COLOURS,
                    ),
                    8,
                ),
            ],
        ),
        (
            "",
            7,
            [
                (
                    table(
                        "Alerts",
                        "Alerts that fire now. Their runbooks: monitoring/runbooks, or"
                        " /runbooks of the scheduler.",
                        {
                            "alertname": "alert",
                            "severity": "severity",
                            "host": "host",
                            "platform": "platform",
                            "device_id": "device",
                        },
                        [('ALERTS{alertstate="firing"}', "", "")],
                        no_value="No alert fires.",
                        overrides=[
                            *(
                                override(label, no_value="-")
                                for label in ("host", "platform", "device")
                            ),
                            override(
                                "severity",
                                width=110,
                                mapped={
                                    "critical": ("critical", RED),
                                    "warning": ("warning", YELLOW),
                                    "info": ("info", GREY),
                                },
                            ),
                        ],
                    ),
                    24,
                )
            ],
        ),
    ],
)
