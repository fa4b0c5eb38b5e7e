"""The docs tell what the code has."""
