"""The settings of a training run, and where they come from."""
