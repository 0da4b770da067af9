"""Pictures in a grid that fits the screen's width, each one a button: hundreds of elements less for a browser to draw
than with an image, a caption and a button each."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Tile:
    """What one button of the grid shows.

    Args:
        id: what the click tells.
        picture: a JPEG file; None without one.
        aspect: its width over height, so that the page does not move when it appears.
        title, latin, note: plain text below it, "" without.
        name: for those who hear the page, where the text does not tell it from others; begins with the text.
    """

    id: str
    picture: bytes | None
    aspect: float
    title: str = ""
    latin: str = ""
    note: str = ""
    name: str = ""

    def to_dict(self) -> dict:
        """As the browser reads it."""
        picture = self.picture and "data:image/jpeg;base64," + base64.b64encode(self.picture).decode()
        return {**vars(self), "picture": picture}


def grid(tiles: Sequence[Tile], on_click: Callable[[str], object], key: str, side: int = 160) -> None:
    """The tiles, at least `side` pixels wide.

    Args:
        on_click: is told the id of the tile that was clicked, before the page runs again.
        key: sets this grid apart from others of the page.
    """

    def clicked() -> None:
        # The page may have changed since it was shown; and a browser can send anything.
        if st.session_state[key].clicked in ids:
            on_click(st.session_state[key].clicked)

    ids = [tile.id for tile in tiles]

    # Registered anew by every run: a server that has restarted keeps no components, but may keep this module.
    mount = st.components.v2.component(
        "tiles", html="<div class=grid></div>", css=(HERE / "tiles.css").read_text(), js=(HERE / "tiles.js").read_text()
    )
    mount(
        key=key, data={"key": key, "side": side, "tiles": [tile.to_dict() for tile in tiles]}, on_clicked_change=clicked
    )
