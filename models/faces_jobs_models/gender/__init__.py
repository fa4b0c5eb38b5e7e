"""The gender model."""
