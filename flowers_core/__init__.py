"""Trains AlexNet on photos of flowers, and says what it learned: the core behind the app and the command line."""

__version__ = "0.1.0"
