"""`make bench`: figures of this machine. No test asserts a time; this measures."""
