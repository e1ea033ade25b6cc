"""Benchmarks: each compares with a named peer in the same run, on the same machine, and prints the ratio."""
