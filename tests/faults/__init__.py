"""Faults that must lose nothing and double nothing, each at each point of a job's life."""
