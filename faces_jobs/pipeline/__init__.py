"""Turns frames into detections, tracks and attributes, independent of networks and sinks."""
