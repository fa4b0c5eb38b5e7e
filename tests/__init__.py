"""The tests, in tiers: unit, integration, acceptance, faults."""
