"""Makes firmware/core/model/gguf_rules.h from the host's table (edgeprof.shared.models.rules)."""

from __future__ import annotations

from edgeprof.shared.models import rules

_LIMITS = (
    *("MAX_KV", "MAX_TENSORS", "MAX_KEY_BYTES", "MAX_NAME_BYTES", "MAX_STRING_BYTES"),
    *("MAX_ARRAY", "MAX_ITEMS"),
)
_HEAD = """\
/* Written by `make docs` from shared/edgeprof/shared/models/rules.py; edit there.
 *
 * Limits of a GGUF, and the metadata keys that a board looks at: every other key changes nothing.
 *   WHOLE(id, key, low, high)     an integer of any width, limits included
 *   REAL(id, key, low, high)      a number of any type, limits excluded
 *   NEUTRAL(id, key, this, that)  a number that has one of these two values in a plain llama
 *   OTHER(id, key)                has a rule of its own in gguf_hparams.c */
#ifndef TLEP_GGUF_RULES_H
#define TLEP_GGUF_RULES_H
"""
_OTHERS = (
    rules.ARCHITECTURE_KEY,
    rules.SCALING_TYPE_KEY,
    rules.SLIDING_WINDOW_KEY,
    rules.ATTENTION_SCALE_KEY,
)


def rules_header() -> str:
    """Return the text of the header."""
    lines = [f"    TLEP_GGUF_{name} = {getattr(rules, name)}," for name in _LIMITS]
    rows = [f'WHOLE({_id(w.key)}, "{w.key}", {w.low}, {w.high})' for w in rules.WHOLES]
    rows += [f'REAL({_id(r.key)}, "{r.key}", {_f(r.low)}, {_f(r.high)})' for r in rules.REALS]
    rows += [
        f'NEUTRAL({_id(n.key)}, "{n.key}", {_f(n.values[0])}, {_f(n.values[-1])})'
        for n in (*rules.SCALING_FACTORS, *rules.NEUTRALS)
    ]
    rows += [f'OTHER({_id(key)}, "{key}")' for key in _OTHERS]
    return "\n".join(
        [
            _HEAD,
            "enum {",
            *lines,
            "};",
            f"#define TLEP_GGUF_DEFAULT_FREQ_BASE {_f(rules.DEFAULT_FREQUENCY_BASE)}",
            f"#define TLEP_GGUF_SCALE_TOLERANCE {_f(rules.SCALE_TOLERANCE)}",
            f'#define TLEP_GGUF_FREQ_FACTORS "{rules.FREQUENCY_FACTORS}"',
            "",
            "#define TLEP_GGUF_KEYS(WHOLE, REAL, NEUTRAL, OTHER) \\",
            *(f"    {row} \\" for row in rows[:-1]),
            f"    {rows[-1]}",
            "",
            "#endif",
            "",
        ]
    )


def _id(key: str) -> str:
    return key.removeprefix("llama.").removeprefix("general.").replace(".", "_").upper()


def _f(value: float) -> str:
    return f"{float(value)!r}f"
