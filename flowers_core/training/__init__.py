"""Training: the loop, what it is made of, and the process it runs in."""
