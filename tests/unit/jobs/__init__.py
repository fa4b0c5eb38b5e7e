"""Unit tests of a job's options, states and labels."""
