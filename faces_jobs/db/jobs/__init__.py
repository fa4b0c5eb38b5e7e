"""The life of a job: inserted, controlled, ended, retried, deleted."""
