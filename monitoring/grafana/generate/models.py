"""Model comparison: the same model on every platform and in every type, side by side."""

from __future__ import annotations

from typing import Final

from monitoring.grafana.generate.dashboard import MODEL, PLATFORM, dashboard
from monitoring.grafana.generate.fields import TOKENS_PER_SECOND, override
from monitoring.grafana.generate.panels import bars, table, timeseries
from monitoring.grafana.generate.queries import quantile, query

_MODEL = 'model_name=~"$model", platform=~"$platform"'
_BY = "model_name, platform, quantization"
_NAMES = {"model_name": "model", "quantization": "type", "platform": "platform"}
#: The labels that differ between runs come first, because a long legend is cut at its end.
_LEGEND = "{{platform}} {{quantization}} {{model_name}}"


def _memory(kind: str) -> str:
    use = f'model_memory_usage_bytes{{{_MODEL}, memory_type=~"{kind}"}}'
    return f"max by ({_BY}) (sum by ({_BY}, instance) ({use}))"


_SHARE = f'max by ({_BY}, operator) (model_operator_share_ratio{{{_MODEL}, phase="decode"}})'


DASHBOARD: Final = dashboard(
    "tlep-model-comparison",
    "Model Comparison",
    "Speed, memory, energy and quality of each model by type and platform, from its last run.",
    [PLATFORM, MODEL],
    [
        (
            "",
            14,
            [
                (
                    table(
                        "Last run of each model",
                        "One row for each model, type and platform. Energy needs a meter."
                        " Platforms whose"
                        " boards are emulated show how fast the emulator is, not the chip.",
                        _NAMES,
                        [
                            (
                                f"max by ({_BY}) (model_tokens_per_second{{{_MODEL}}})",
                                "decode",
                                TOKENS_PER_SECOND,
                            ),
                            (
                                f"max by ({_BY}) (model_prefill_tokens_per_second{{{_MODEL}}})",
                                "prefill",
                                TOKENS_PER_SECOND,
                            ),
                            (
                                (
                                    f"max by ({_BY})"
                                    f" (model_last_time_to_first_token_seconds{{{_MODEL}}})"
                                ),
                                "time to first token",
                                "s",
                            ),
                            (
                                f"max by ({_BY}) (model_energy_per_token_joules{{{_MODEL}}})",
                                "energy per token",
                                "joule",
                            ),
                            (
                                (
                                    f"time() - max by ({_BY})"
                                    f" (model_last_run_timestamp_seconds{{{_MODEL}}})"
                                ),
                                "measured before",
                                "s",
                            ),
                        ],
                        sort_by="decode",
                    ),
                    24,
                )
            ],
        ),
        (
            "",
            14,
            [
                (
                    bars(
                        "Decode speed",
                        "Of the last run.",
                        f"sort_desc(max by ({_BY}) (model_tokens_per_second{{{_MODEL}}}))",
                        _LEGEND,
                        unit=TOKENS_PER_SECOND,
                    ),
                    12,
                ),
                (
                    table(
                        "Memory",
                        "What a model takes on a board: weights (few where they are read from"
                        " flash in place), KV cache, activations and the rest.",
                        _NAMES,
                        [
                            (_memory("weights"), "weights", "bytes"),
                            (_memory("kv"), "KV cache", "bytes"),
                            (_memory("activations"), "activations", "bytes"),
                            (_memory(".*"), "all", "bytes"),
                        ],
                        overrides=[override("model", width=150), override("type", width=70)],
                        sort_by="all",
                    ),
                    12,
                ),
            ],
        ),
        (
            "Over time",
            10,
            [
                (
                    timeseries(
                        "Decode speed over time",
                        "A step down may be a new firmware, a new clock setting, or a hot board.",
                        [query(f"max by ({_BY}) (model_tokens_per_second{{{_MODEL}}})", _LEGEND)],
                        unit=TOKENS_PER_SECOND,
                        logarithmic=True,
                        wide=True,
                    ),
                    13,
                ),
                (
                    timeseries(
                        "Time to first token over time",
                        "Of the last run, as it was measured.",
                        [
                            query(
                                f"max by ({_BY})"
                                f" (model_last_time_to_first_token_seconds{{{_MODEL}}})",
                                _LEGEND,
                            )
                        ],
                        unit="s",
                        logarithmic=True,
                        wide=True,
                    ),
                    11,
                ),
            ],
        ),
        (
            "",
            10,
            [
                (
                    timeseries(
                        "Time to first token, 95th percentile",
                        "95 % of the repetitions of the last five minutes were faster, to within"
                        " the next edge of the"
                        " histogram. A dot is one of them: it leads to its trace.",
                        [
                            query(
                                quantile(
                                    0.95,
                                    'model_time_to_first_token_seconds_bucket{platform=~"$platform"}',
                                    "platform",
                                ),
                                "{{platform}}",
                                exemplar=True,
                            )
                        ],
                        unit="s",
                        logarithmic=True,
                        wide=True,
                    ),
                    12,
                ),
                (
                    timeseries(
                        "Time between two tokens, 95th percentile",
                        "As above: 95 % of the tokens of the last five minutes came sooner.",
                        [
                            query(
                                quantile(
                                    0.95,
                                    'model_inter_token_latency_seconds_bucket{platform=~"$platform"}',
                                    "platform",
                                ),
                                "{{platform}}",
                                exemplar=True,
                            )
                        ],
                        unit="s",
                        logarithmic=True,
                        wide=True,
                    ),
                    12,
                ),
            ],
        ),
        (
            "Where the time goes",
            12,
            [
                (
                    bars(
                        "Share of each operator in decode",
                        "Of the last profiled run (edgeprof submit --profile), by model, type and"
                        " platform; operators under 2 % are left out. edgeprof explain says more.",
                        f"sort_desc({_SHARE} > 0.02)",
                        "{{operator}} {{platform}} {{quantization}} {{model_name}}",
                        unit="percentunit",
                    ),
                    24,
                )
            ],
        ),
        (
            "Quality and latency",
            14,
            [
                (
                    table(
                        "Latency between tokens",
                        "95th percentile of the last run, by length of the prompt (rounded up to"
                        " a power of two).",
                        _NAMES | {"input_length": "prompt, tokens"},
                        [
                            (
                                (
                                    f"max by ({_BY}, input_length)"
                                    f" (model_latency_p95_seconds{{{_MODEL}}})"
                                ),
                                "p95",
                                "s",
                            )
                        ],
                        overrides=[
                            override("model", width=150),
                            override("type", width=70),
                        ],
                    ),
                    9,
                ),
                (
                    table(
                        "Accuracy",
                        "Share of positions whose most likely token is the one that follows;"
                        " from scored runs.",
                        _NAMES,
                        [
                            (
                                f"max by ({_BY}, dataset) (model_accuracy_ratio{{{_MODEL}}})",
                                "accuracy",
                                "percentunit",
                            )
                        ],
                        overrides=[
                            override("model", width=150),
                            override("type", width=70),
                        ],
                        no_value="no scored run",
                    ),
                    8,
                ),
                (
                    table(
                        "Error by quantization",
                        "Share of positions where the quantized model prefers another token than"
                        " the original; from scored runs.",
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
                        overrides=[
                            override("model", width=150),
                            override("type", width=70),
                        ],
                        no_value="no scored run",
                    ),
                    7,
                ),
            ],
        ),
    ],
    since="now-6h",
)
