"""What a job is: its options and its states. Pure; nothing here reads or writes."""
