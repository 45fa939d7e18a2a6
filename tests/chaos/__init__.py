"""Chaos: the whole system in real processes, under every fault at once; ``python -m tests.chaos``."""
