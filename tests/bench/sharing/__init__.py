"""What `fairness.py` is made of."""
