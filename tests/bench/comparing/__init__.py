"""The benchmark: environment, peers, measurement of cost, error rates, and the report."""
