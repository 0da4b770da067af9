"""What the page Tune shows."""
