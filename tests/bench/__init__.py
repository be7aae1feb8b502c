"""Benchmarks against the programs that people use otherwise: `python -m tests.bench`."""
