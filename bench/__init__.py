"""Speed and memory, each beside a named reference measured in the same run: `make bench`."""
