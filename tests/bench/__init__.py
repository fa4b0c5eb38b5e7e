"""The benchmarks of `make bench`: tests assert no times, these measure them."""
