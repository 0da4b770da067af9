"""Thumbnails: made from the decoded cache, never from a path that a page was given."""

from collections.abc import Sequence

import streamlit as st

from flowers_core.images import from_square, to_jpeg
from flowers_core.photos.cache import DecodedSource
from flowers_core.ui.plain import plain

THUMBNAIL = 160
"""Longer side of a thumbnail, pixels."""

PER_PAGE = 48
"""Photos on one page of a gallery."""

COVER = (320, 220)
"""Width and height of a kind's cover, pixels."""


def thumbnails(decoded: DecodedSource, indices: Sequence[int], side: int = THUMBNAIL) -> list[bytes]:
    """The chosen photos as small JPEG files."""
    return [_thumbnail(decoded.entries[i].digest, side, decoded, i) for i in indices]


def gallery(pictures: Sequence[bytes], captions: Sequence[str], side: int = THUMBNAIL) -> None:
    """Pictures in a grid that fits the screen's width, each with a line of plain text below."""
    grid = st.grid("auto", min_column_width=side, vertical_alignment="bottom")
    for picture, caption in zip(pictures, captions, strict=True):
        cell = grid.cell()
        cell.image(picture, width="stretch", alt=caption)
        cell.caption(plain(caption))


def cover(decoded: DecodedSource, index: int, width: int = COVER[0], height: int = COVER[1]) -> bytes:
    """A photo cut to one shape, so that tiles of a gallery line up."""
    return _cover(decoded.entries[index].digest, width, height, decoded, index)


def paged(count: int, key: str, per_page: int = PER_PAGE) -> range:
    """A pager below a gallery that has more than one page; the indices of the page that is shown."""
    pages = max(1, -(-count // per_page))
    page = st.pagination(pages, key=key, persist_state="page") if pages > 1 else 1
    return range((page - 1) * per_page, min(count, page * per_page))


@st.cache_data(max_entries=4000, show_spinner=False)
def _thumbnail(digest: str, side: int, _decoded: DecodedSource, _index: int) -> bytes:
    return to_jpeg(from_square(_decoded.square(_index), _decoded.entries[_index].aspect, side))


@st.cache_data(max_entries=600, show_spinner=False)
def _cover(digest: str, width: int, height: int, _decoded: DecodedSource, _index: int) -> bytes:
    from PIL import ImageOps

    entry = _decoded.entries[_index]
    image = from_square(_decoded.square(_index), entry.aspect, 2 * max(width, height))
    return to_jpeg(ImageOps.fit(image, (width, height)))
