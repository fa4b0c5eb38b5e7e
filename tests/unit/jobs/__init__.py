"""Options, states and labels."""
