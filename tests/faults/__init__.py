"""Fault injection: no fault at any point of a job's life may lose or duplicate anything."""
