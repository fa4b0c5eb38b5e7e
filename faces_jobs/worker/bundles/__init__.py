"""Bundles: images of one job that a worker processes together."""
