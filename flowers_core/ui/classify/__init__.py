"""What the page Name a flower shows."""
