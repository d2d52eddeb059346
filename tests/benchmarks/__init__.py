"""Benchmarks: run by hand, they print ratios against a hand-written baseline in the same run and assert nothing."""
