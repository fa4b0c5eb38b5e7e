"""`make bench-jobs`: figures of the job engine on this machine. No test asserts a time."""
