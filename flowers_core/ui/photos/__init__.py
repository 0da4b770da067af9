"""What the page Photos shows."""
