"""Unit tests of pages and progress of results."""
