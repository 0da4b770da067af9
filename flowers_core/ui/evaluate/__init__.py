"""What the page Evaluate shows."""
