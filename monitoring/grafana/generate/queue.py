"""Queue: what waits, for how long, how fast it goes, what fails, and who works."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import PLATFORM, dashboard
from monitoring.grafana.generate.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    override,
    quantile,
    query,
    table,
    timeseries,
)

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
                        "All jobs in the store; finished ones leave it after EDGEPROF_RESULT_TTL_S.",
                        [query("sum by (state) (edgeprof_jobs)", "{{state}}")],
                        stacked=True,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Jobs waiting, by queue",
                        "Our own count, from the store: it sees every priority.",
                        [query(f"edgeprof_queue_jobs{{{_PLATFORM}}}", "{{queue}}")],
                        stacked=True,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Age of the oldest job",
                        "How long the job has waited that waits longest; TlepOldestJobTooOld after an hour.",
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
                        "Half and 95 % of the attempts waited less. A dot is one job: it leads to its trace.",
                        [
                            query(
                                quantile(
                                    0.5,
                                    f"profiling_queue_wait_seconds_bucket{{{_PLATFORM}}}",
                                    "platform",
                                ),
                                "{{platform}} p50",
                            ),
                            query(
                                quantile(
                                    0.95,
                                    f"profiling_queue_wait_seconds_bucket{{{_PLATFORM}}}",
                                    "platform",
                                ),
                                "{{platform}} p95",
                                exemplar=True,
                            ),
                        ],
                        unit="s",
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Jobs finished per minute",
                        "By how they ended.",
                        [
                            query(
                                "60 * sum by (state) (rate("
                                f"edgeprof_jobs_finished_total{{{_PLATFORM}}}[$__rate_interval]))",
                                "{{state}}",
                            )
                        ],
                        unit="none",
                        stacked=True,
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Failed attempts by class",
                        "Whose fault it was: board, link, host, model, job. In 5 minutes.",
                        [
                            query(
                                "sum by (platform, reason)"
                                f" (increase(profiling_errors_total{{{_PLATFORM}}}[5m])) > 0",
                                "{{platform}} {{reason}}",
                            )
                        ],
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
                        "Each board is one Celery worker. What Flower shows of a dead one, it shows for two"
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
                                    "sum by (device_id, platform, host)"
                                    f" (avg_over_time(profiling_sessions_active{{{_PLATFORM}}}[$__range]))"
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
                                (
                                    "sum by (device_id, platform, host)"
                                    f" (increase(profiling_errors_total{{{_PLATFORM}}}[$__range]))"
                                ),
                                "failed attempts",
                                "none",
                            ),
                        ],
                        overrides=[
                            override("state", mapped=STATES),
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
                        "Boards at work, by queue",
                        "Boards that could take a job of the queue; 0 with jobs raises TlepNoWorkerForQueue.",
                        [query(f"edgeprof_queue_workers{{{_PLATFORM}}}", "{{queue}}")],
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
                        "What the scheduler put right, per minute: jobs taken back from dead workers, expired,"
                        " rung again; and archived.",
                        [
                            query(
                                "60 * sum by (action)"
                                " (rate(edgeprof_custodian_actions_total[$__rate_interval]))",
                                "{{action}}",
                            )
                        ],
                        unit="none",
                    ),
                    8,
                ),
                (
                    timeseries(
                        "Celery tasks per minute, by board",
                        "From celery-exporter: bells heard. A bell that comes too late is one too, so there may"
                        " be more of them than jobs.",
                        [
                            query(
                                "60 * sum by (hostname)"
                                " (rate(celery_task_succeeded_total[$__rate_interval]))",
                                "{{hostname}}",
                            )
                        ],
                        unit="none",
                        scraped="30s",
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
