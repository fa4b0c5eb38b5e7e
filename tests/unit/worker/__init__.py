"""Unit tests of the worker's components."""
