"""The parts of the benchmark: what is installed, who reads, what reading costs, how right it is, and the table of it all."""
