"""A probability in words: no classifier is ever wholly sure, whatever its last digit rounds to."""

LEAST, MOST = 0.001, 0.999
"""Probabilities below and above which no more is said."""


def percent(probability: float) -> str:
    """One answer's probability (0 to 1) for people: "83.1%", "over 99.9%" or "under 0.1%"."""
    if probability > MOST:
        return "over 99.9%"
    return "under 0.1%" if probability < LEAST else f"{100 * probability:.1f}%"
