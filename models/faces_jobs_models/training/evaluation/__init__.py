"""Evaluation: predictions on held-out faces, their figures, calibration, tables and plots."""
