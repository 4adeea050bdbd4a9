"""Queue: what waits, for how long, how fast it goes, what fails, and who works."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import PLATFORM, dashboard
from monitoring.grafana.generate.fields import (
    BLUE,
    FAULT_COLOURS,
    GREEN,
    JOB_COLOURS,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    override,
)
from monitoring.grafana.generate.panels import table, timeseries
from monitoring.grafana.generate.queries import counted, quantile, query

_PLATFORM = 'platform=~"$platform"'

STATES: Final = {
    "online": ("online", GREEN),
    "busy": ("busy", BLUE),
    "draining": ("draining", YELLOW),
    "quarantined": ("quarantined", RED),
    "offline": ("offline", RED),
}

DASHBOARD: Final = dashboard(
    "tlep-queue",
    "Job Queue",
    "Jobs by state, waiting times, throughput, failures, and the boards as workers.",
    [PLATFORM],
    [
        (
            "",
            9,
            [
                (
                    timeseries(
                        "Jobs by state",
                        "All jobs in the store; finished ones leave it after"
                        " EDGEPROF_RESULT_TTL_S.",
                        [query("sum by (state) (edgeprof_jobs)", "{{state}}")],
                        unit="none",
                        stacked=True,
                        colours=JOB_COLOURS,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Jobs waiting, by queue",
                        "Our own count, from the store: it sees every priority.",
                        [query(f"edgeprof_queue_jobs{{{_PLATFORM}}}", "{{queue}}")],
                        unit="none",
                        stacked=True,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Age of the oldest job",
                        "Waiting time of the job that has waited longest; TlepOldestJobTooOld"
                        " fires after an hour.",
                        [
                            query(
                                f"edgeprof_queue_oldest_job_age_seconds{{{_PLATFORM}}}", "{{queue}}"
                            )
                        ],
                        unit="s",
                        steps=((None, GREEN), (3600, RED)),
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
                    timeseries(
                        "Time in the queue",
                        "95 % of the attempts of the last five minutes waited less, to within"
                        " the next edge of the histogram. A dot is one job: it leads to its trace.",
                        [
                            query(
                                quantile(
                                    0.95,
                                    f"profiling_queue_wait_seconds_bucket{{{_PLATFORM}}}",
                                    "platform",
                                ),
                                "{{platform}}",
                                exemplar=True,
                            ),
                        ],
                        unit="s",
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Jobs finished in a minute",
                        "How many ended in the minute before, and how.",
                        [
                            query(
                                counted(
                                    f"edgeprof_jobs_finished_total{{{_PLATFORM}}}", "1m", "state"
                                ),
                                "{{state}}",
                            )
                        ],
                        unit="none",
                        decimals=0,
                        stacked=True,
                        colours=JOB_COLOURS,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Failed attempts in 5 minutes, by class",
                        "Whose fault it was: board, link, host, model, job.",
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
        (
            "Boards as workers",
            9,
            [
                (
                    table(
                        "Boards",
                        "Each board is one Celery worker. Flower shows a dead one for two"
                        " minutes more; this is the store's own record.",
                        {
                            "device_id": "device",
                            "platform": "platform",
                            "host": "host",
                            "state": "state",
                        },
                        [
                            (f"edgeprof_board_state{{{_PLATFORM}}}", "", ""),
                            (
                                (
                                    "sum by (device_id, platform, host) (avg_over_time("
                                    f"profiling_sessions_active{{{_PLATFORM}}}[$__range]))"
                                ),
                                "busy",
                                "percentunit",
                            ),
                            (
                                (
                                    "time() - max by (device_id, platform, host)"
                                    f" (profiling_last_completion_timestamp_seconds{{{_PLATFORM}}})"
                                ),
                                "last job ended",
                                "s",
                            ),
                            (
                                counted(
                                    f"profiling_errors_total{{{_PLATFORM}}}",
                                    "$__range",
                                    "device_id, platform, host",
                                ),
                                "failed attempts",
                                "none",
                            ),
                        ],
                        overrides=[
                            override("state", mapped=STATES, width=110),
                            override("last job ended", missing="no job yet"),
                            override(
                                "failed attempts",
                                decimals=0,
                                steps=((None, "transparent"), (1, RED)),
                            ),
                            override(
                                "device",
                                link=(
                                    "Device Health",
                                    "/d/tlep-device-health?var-device=${__value.raw}",
                                ),
                            ),
                        ],
                    ),
                    16,
                ),
                (
                    timeseries(
                        "Boards in service, by queue",
                        "Boards that take jobs of the queue, busy or not; 0 with jobs raises"
                        " TlepNoWorkerForQueue.",
                        [query(f"edgeprof_queue_workers{{{_PLATFORM}}}", "{{queue}}")],
                        unit="none",
                        decimals=0,
                    ),
                    8,
                ),
            ],
        ),
        (
            "Behind it",
            8,
            [
                (
                    timeseries(
                        "Custodian",
                        "What the scheduler did in the minute before: jobs requeued from dead"
                        " workers, expired,"
                        " renotified (their doorbell was sent again), archived and pruned from"
                        " Redis.",
                        [
                            query(
                                counted("edgeprof_custodian_actions_total", "1m", "action"),
                                "{{action}}",
                            )
                        ],
                        unit="none",
                        decimals=0,
                        colours={
                            "archived": GREEN,
                            "pruned": BLUE,
                            "renotified": YELLOW,
                            "requeued": ORANGE,
                            "expired": PURPLE,
                            "set_aside": RED,
                        },
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Celery tasks in 5 minutes",
                        "From celery-exporter: doorbells by the end of their attempt. A"
                        " doorbell that came too late is counted, too, so there may be more of"
                        " them than jobs.",
                        [
                            query(
                                f"sum({counted(f'celery_task_{state}_total', '5m', 'hostname')})",
                                state,
                            )
                            for state in ("succeeded", "failed", "retried")
                        ],
                        unit="none",
                        decimals=0,
                        scraped="30s",
                        colours=JOB_COLOURS | {"retried": ORANGE},
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Redis memory",
                        "Jobs, and models on their way to boards.",
                        [
                            query("redis_memory_used_bytes", "used"),
                            query("redis_memory_max_bytes > 0", "limit"),
                        ],
                        unit="bytes",
                        scraped="15s",
                    ),
                    8,
                ),
            ],
        ),
    ],
)
