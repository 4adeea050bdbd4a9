"""Device health: temperature, memory, CPU, power and link of each board."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import DEVICE, HOST, PLATFORM, dashboard
from monitoring.grafana.generate.fields import GREEN, RED, YELLOW, limit, override
from monitoring.grafana.generate.main import CONNECTED
from monitoring.grafana.generate.panels import states, table, timeseries
from monitoring.grafana.generate.queries import counted, query

_LIMIT, _LIMIT_DRAWN = limit(
    'max by (host) (tlep_temperature_limit_celsius{host=~"$host"})', "limit {{host}}"
)
_BOARD = 'platform=~"$platform", device_id=~"$device", host=~"$host"'

DASHBOARD: Final = dashboard(
    "tlep-device-health",
    "Device Health Monitoring",
    "The state of each board by its own figures, also while it is idle.",
    [HOST, PLATFORM, DEVICE],
    [
        (
            "",
            9,
            [
                (
                    timeseries(
                        "Device Temperature",
                        "By sensor; DeviceOverheating fires above the limit,"
                        " EDGEPROF_TEMPERATURE_LIMIT_C of the"
                        " host. Boards without a sensor are absent; an emulated sensor says so"
                        " in its name.",
                        [
                            query(
                                f"device_temperature_celsius{{{_BOARD}}}",
                                "{{device_id}} {{sensor_location}}",
                            ),
                            _LIMIT,
                        ],
                        unit="celsius",
                        minimum=None,
                        overrides=[_LIMIT_DRAWN],
                    ),
                    12,
                ),
                (
                    states(
                        "Connection",
                        "When each board answered its host.",
                        [
                            query(
                                f"max by (device_id) (device_connection_status{{{_BOARD}}})",
                                "{{device_id}}",
                            )
                        ],
                        CONNECTED,
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
                        "Memory in use",
                        "Share of each memory; above 90 % HighMemoryUsage fires (not for flash,"
                        " which models are meant to fill).",
                        [
                            query(
                                f"device_memory_usage_bytes{{{_BOARD}}}"
                                f" / device_memory_total_bytes{{{_BOARD}}}",
                                "{{device_id}} {{memory_type}}",
                            )
                        ],
                        unit="percentunit",
                        steps=((None, GREEN), (0.9, RED)),
                        limit_line=True,
                        wide=True,
                    ),
                    12,
                ),
                (
                    timeseries(
                        "CPU",
                        "From the firmware's own idle accounting.",
                        [
                            query(
                                f"device_cpu_utilization_percent{{{_BOARD}}}",
                                "{{device_id}}",
                            )
                        ],
                        unit="percent",
                        no_value="no board tells its load",
                    ),
                    6,
                ),
                (
                    timeseries(
                        "Power",
                        "Mean over the last job that a meter watched; boards without a meter are"
                        " absent.",
                        [query(f"device_power_consumption_mw{{{_BOARD}}}", "{{device_id}}")],
                        unit="mwatt",
                        no_value="no board has a meter",
                    ),
                    6,
                ),
            ],
        ),
        (
            "Serial link",
            8,
            [
                (
                    timeseries(
                        "Bytes per second",
                        "Both directions, seen from the host.",
                        [
                            query(
                                "sum by (device_id, direction)"
                                f" (rate(device_link_bytes_total{{{_BOARD}}}[$__rate_interval]))",
                                "{{device_id}} {{direction}}",
                            )
                        ],
                        unit="Bps",
                        wide=True,
                    ),
                    12,
                ),
                (
                    timeseries(
                        "Bad frames in 5 minutes",
                        "By kind. They are sent again: no number is wrong, but jobs take longer.",
                        [
                            query(
                                counted(
                                    f"device_link_errors_total{{{_BOARD}}}", "5m", "device_id, kind"
                                )
                                + " > 0",
                                "{{device_id}} {{kind}}",
                            )
                        ],
                        unit="none",
                        decimals=0,
                        no_value="no bad frames",
                    ),
                    6,
                ),
                (
                    timeseries(
                        "Sent again in 5 minutes",
                        "Requests and data that the host had to repeat.",
                        [
                            query(
                                counted(
                                    f"device_link_retransmits_total{{{_BOARD}}}", "5m", "device_id"
                                )
                                + " > 0",
                                "{{device_id}}",
                            )
                        ],
                        unit="none",
                        decimals=0,
                        no_value="nothing was sent again",
                    ),
                    6,
                ),
            ],
        ),
        (
            "",
            8,
            [
                (
                    table(
                        "Boards",
                        "Firmware of each board, its uptime, and its last report.",
                        {
                            "device_id": "device",
                            "platform": "platform",
                            "host": "host",
                            "firmware_version": "firmware",
                            "clock_hz": "clock",
                            "emulated": "emulated",
                        },
                        [
                            (f"device_info{{{_BOARD}}}", "", ""),
                            (
                                (
                                    "max by (device_id, platform, host)"
                                    f" (device_connection_status{{{_BOARD}}})"
                                ),
                                "status",
                                "short",
                            ),
                            (
                                (
                                    f"sum by (device_id, platform, host)"
                                    f" (device_uptime_seconds{{{_BOARD}}})"
                                ),
                                "up for",
                                "s",
                            ),
                            (
                                (
                                    "time() - max by (device_id, platform, host)"
                                    f" (device_last_reading_timestamp_seconds{{{_BOARD}}})"
                                ),
                                "silent for",
                                "s",
                            ),
                        ],
                        overrides=[
                            override("status", mapped=CONNECTED),
                            override("clock", unit="hertz", no_value="not told"),
                            override("up for", missing="no readings"),
                            override(
                                "silent for",
                                steps=((None, GREEN), (60, YELLOW), (300, RED)),
                                missing="no readings",
                            ),
                        ],
                        numbers=["clock_hz"],
                    ),
                    24,
                )
            ],
        ),
    ],
)
