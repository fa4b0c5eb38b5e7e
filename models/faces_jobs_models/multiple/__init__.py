"""The multiple model."""
