"""Trains AlexNet on photos of flowers, and says what it learned: the core behind the app and the command line."""

import os

# Torch's threads (GNU OpenMP's) wait for each other in a loop for milliseconds. Where a browser or another training
# wants the cores as well, that loop takes them from the very threads that are waited for: twice the time.
# Read when torch is loaded, so set before.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
