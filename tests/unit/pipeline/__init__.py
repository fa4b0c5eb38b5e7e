"""Tests of frames, tracks and votes."""
