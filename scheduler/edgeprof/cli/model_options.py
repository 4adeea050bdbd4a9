"""Options of commands that look at a model without running it."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeprof.shared.types.model import KvType, Quantization

Quantizations = Annotated[
    list[Quantization] | None,
    typer.Option(
        "--quantization",
        "-q",
        case_sensitive=False,
        metavar="TYPE",
        help="Weight type: F32, F16, Q8_0, Q4_0, TQ2_0; repeatable. Default: as the file is.",
    ),
]
Heads = Annotated[
    list[Quantization] | None,
    typer.Option(
        "--head",
        case_sensitive=False,
        metavar="TYPE",
        help="Weight type of embedding and output head; repeatable. Default: as the other weights,"
        " but Q8_0 beside TQ2_0.",
    ),
]
CacheType = Annotated[
    KvType,
    typer.Option(
        case_sensitive=False, metavar="TYPE", help="Element type of the KV cache: F32 or F16."
    ),
]
