"""A sure answer never reads as certain, wherever it is written."""

import pytest

from flowers_core.export import example
from flowers_core.network import sureness

SAID = {
    1.0: "over 99.9%", 0.9996: "over 99.9%", 0.9991: "over 99.9%", 0.9989: "99.9%", 0.5: "50.0%", 0.0314: "3.1%",
    0.001: "0.1%", 0.00099: "under 0.1%", 0.0: "under 0.1%",
}  # fmt: skip


@pytest.mark.parametrize(("probability", "text"), SAID.items())
def test_nothing_is_said_to_be_certain(probability: float, text: str) -> None:
    assert sureness.percent(probability) == text
    assert example.percent(probability) == text
