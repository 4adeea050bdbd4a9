"""`python -m benchmarks [NAME ...] [--quick]`: tables, and benchmarks/results/NAME.json."""

from __future__ import annotations

import argparse

from benchmarks import (
    crowd,
    gap,
    idle,
    link,
    memory,
    overhead,
    peers,
    prediction,
    record,
    submit,
    tokens,
)
from benchmarks.harness import console, report

BENCHMARKS = {
    module.NAME: module
    for module in (
        submit,
        gap,
        overhead,
        record,
        link,
        tokens,
        prediction,
        peers,
        memory,
        idle,
        crowd,
    )
}


def main() -> None:
    """Run all benchmarks, or those named."""
    summary = "\n".join(
        f"  {name:10} {(m.__doc__ or '').splitlines()[0]}" for name, m in BENCHMARKS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=f"Benchmarks:\n{summary}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it works")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for name in arguments.names or BENCHMARKS:
        with console.status(f"{name} …"):
            result = BENCHMARKS[name].measure(quick=arguments.quick)
        report(result)


if __name__ == "__main__":
    main()
