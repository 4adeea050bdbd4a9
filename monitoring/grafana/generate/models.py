"""Model comparison: the same model on every platform and in every type, side by side."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import MODEL, PLATFORM, dashboard
from monitoring.grafana.generate.panels import bars, override, quantile, query, table, timeseries

_MODEL = 'model_name=~"$model", platform=~"$platform"'
_BY = "model_name, platform, quantization"
_NAMES = {"model_name": "model", "quantization": "type", "platform": "platform"}

DASHBOARD: Final = dashboard(
    "tlep-model-comparison",
    "Model Comparison",
    "Speed, memory, energy and quality of each model by type and platform, from its last run.",
    [PLATFORM, MODEL],
    [
        (
            "",
            10,
            [
                (
                    table(
                        "Last run of each model",
                        "One row for each model, type and platform. Energy needs a meter. Platforms whose"
                        " boards are emulated show how fast the emulator is, not the chip.",
                        _NAMES,
                        [
                            (
                                f"max by ({_BY}) (model_tokens_per_second{{{_MODEL}}})",
                                "decode, tokens/s",
                                "none",
                            ),
                            (
                                f"max by ({_BY}) (model_prefill_tokens_per_second{{{_MODEL}}})",
                                "prefill, tokens/s",
                                "none",
                            ),
                            (
                                f"max by ({_BY}) (model_last_time_to_first_token_seconds{{{_MODEL}}})",
                                "time to first token",
                                "s",
                            ),
                            (
                                f"max by ({_BY}) (model_energy_per_token_joules{{{_MODEL}}})",
                                "energy per token",
                                "joule",
                            ),
                            (
                                f"time() - max by ({_BY}) (model_last_run_timestamp_seconds{{{_MODEL}}})",
                                "measured",
                                "s",
                            ),
                        ],
                        sort_by="decode, tokens/s",
                    ),
                    24,
                )
            ],
        ),
        (
            "",
            12,
            [
                (
                    bars(
                        "Decode speed",
                        "Tokens per second of the last run.",
                        f"sort_desc(max by ({_BY}) (model_tokens_per_second{{{_MODEL}}}))",
                        "{{model_name}} {{quantization}} {{platform}}",
                        unit="none",
                    ),
                    12,
                ),
                (
                    bars(
                        "Memory",
                        "What a model takes on a board, by use: weights, KV cache, activations.",
                        f"max by (model_name, platform, memory_type) (model_memory_usage_bytes{{{_MODEL}}})",
                        "{{model_name}} {{platform}} {{memory_type}}",
                        unit="bytes",
                    ),
                    12,
                ),
            ],
        ),
        (
            "",
            9,
            [
                (
                    timeseries(
                        "Decode speed over time",
                        "A step down may be a new firmware, a new clock setting, or a hot board.",
                        [
                            query(
                                f"max by ({_BY}) (model_tokens_per_second{{{_MODEL}}})",
                                "{{model_name}} {{quantization}} {{platform}}",
                            )
                        ],
                        unit="none",
                        logarithmic=True,
                    ),
                    12,
                ),
                (
                    timeseries(
                        "Time to first token",
                        "95 % of the repetitions were faster. A dot is one of them: it leads to its trace.",
                        [
                            query(
                                quantile(
                                    0.95,
                                    'model_time_to_first_token_seconds_bucket{platform=~"$platform"}',
                                    "platform, quantization",
                                ),
                                "{{platform}} {{quantization}}",
                                exemplar=True,
                            )
                        ],
                        unit="s",
                    ),
                    12,
                ),
            ],
        ),
        (
            "Quality and latency",
            9,
            [
                (
                    table(
                        "Latency between tokens",
                        "95th percentile of the last run, by length of the prompt (rounded up to a power of two).",
                        {
                            "model_name": "model",
                            "platform": "platform",
                            "input_length": "prompt, tokens",
                        },
                        [
                            (
                                (
                                    "max by (model_name, platform, input_length)"
                                    f" (model_latency_p95_seconds{{{_MODEL}}})"
                                ),
                                "p95",
                                "s",
                            )
                        ],
                        overrides=[override("model", width=140)],
                    ),
                    8,
                ),
                (
                    table(
                        "Accuracy",
                        "Share of positions whose most likely token is the one that follows; from scored runs.",
                        {"model_name": "model", "platform": "platform"},
                        [
                            (
                                (
                                    "max by (model_name, platform, dataset)"
                                    f" (model_accuracy_score{{{_MODEL}}})"
                                ),
                                "accuracy",
                                "percentunit",
                            )
                        ],
                    ),
                    8,
                ),
                (
                    table(
                        "Error by quantization",
                        "Share of positions where the quantized model prefers another token than the original;"
                        " from scored runs.",
                        {"model_name": "model", "method": "type"},
                        [
                            (
                                (
                                    "max by (model_name, method, quantization_bits)"
                                    ' (quantization_error_rate{model_name=~"$model"})'
                                ),
                                "differs",
                                "percentunit",
                            )
                        ],
                    ),
                    8,
                ),
            ],
        ),
    ],
    since="now-6h",
)
