"""Implementations of the ports: the services that Holdfast runs on, and memory for tests."""
