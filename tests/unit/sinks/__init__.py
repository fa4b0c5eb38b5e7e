"""Unit tests of the sinks, which open the written files again and check their content."""
