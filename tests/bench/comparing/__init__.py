"""The parts of the benchmark: what is installed, who reads, what that costs, how right it is, and the table of it all."""
