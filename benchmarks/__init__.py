"""Measure what a request costs, against baselines on the same machine in the same run."""
