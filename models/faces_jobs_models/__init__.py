"""The networks: one folder each, with wrapper, weights, record and card."""
