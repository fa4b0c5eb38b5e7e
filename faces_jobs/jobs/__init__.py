"""What a job is: its options, states and documents. Pure values; nothing here does I/O."""
