"""What a trained model answers, how good its answers are, and why it gives them."""
