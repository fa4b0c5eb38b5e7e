"""The tests, in four tiers: unit, integration, acceptance and faults."""
