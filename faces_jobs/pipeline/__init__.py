"""Frames to detections to tracks to attributes. Knows no network, database or sink by name."""
