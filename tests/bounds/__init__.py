"""Bounds of memory, load and size."""
