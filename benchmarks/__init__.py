"""Benchmarks: figures of one run on one machine. Quote their ratios, not the figures."""
