"""Tests of the harness that users test their generators with."""
