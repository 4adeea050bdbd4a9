"""Benchmarks: figures from one run on one machine, so ratios and not absolutes are worth quoting."""
