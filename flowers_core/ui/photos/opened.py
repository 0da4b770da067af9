"""Which kind and which photo are open: they stand in the page's address, so that each can be linked."""

from collections.abc import Sequence

import streamlit as st

from flowers_core.images import SIDE
from flowers_core.photos.cache import DecodedSource
from flowers_core.ui import frame, tiles
from flowers_core.ui.pictures import PER_PAGE, paged, thumbnails

MATRIX = ("model", "split", "true", "called")
"""In the address when the photo was opened from a cell of a confusion matrix: which one it was; of them the model also
when it was asked about the photo."""

KINDS = "Kinds"
"""The view in which a photo lies in its kind."""


def is_asked() -> bool:
    """Does the address ask for a kind or a photo?"""
    return "kind" in st.query_params or "photo" in st.query_params


def asked() -> str:
    """What the address asks for, for people."""
    kind = st.query_params.get("kind", "")
    return f"a photo of {kind or 'some kind'}" if "photo" in st.query_params else f"the kind “{kind}”"


def kind(decoded: DecodedSource) -> int | None:
    """The label of the kind that is open."""
    name = st.query_params.get("kind")
    return decoded.source.classes.index(name) if name in decoded.source.classes else None


def photo(decoded: DecodedSource) -> int | None:
    """The index of the photo that is open; None also when it is gone or excluded."""
    wanted = st.query_params.get("photo")
    if not wanted:
        return None
    photos, label = decoded.source.photos, kind(decoded)
    likely = range(len(photos)) if label is None else (decoded.labels == label).nonzero()[0].tolist()
    found = next((i for i in likely if photos[i].id == wanted), None)
    if found is None and label is not None:  # moved to another kind since the link was made
        found = next((i for i, each in enumerate(photos) if each.id == wanted), None)
    return found


def is_gone(decoded: DecodedSource) -> bool:
    """Does the address ask for what the set hasn't got (any more)? Of a photo that was shown until now, no: who
    excludes it knows. Tells of each photo once."""
    asked, before = st.query_params.get("photo"), st.session_state.get("photo-asked")
    st.session_state["photo-asked"] = asked
    if asked:
        return photo(decoded) is None and asked != before
    return "kind" in st.query_params and kind(decoded) is None


def matrix() -> dict[str, str]:
    """The address's parameters that name a model, or a cell of a confusion matrix."""
    return {name: st.query_params[name] for name in MATRIX if name in st.query_params}


def link_to_matrix() -> bool:
    """A link back to the cell of the confusion matrix that the photo was opened from; False where it was from none."""
    if is_of_matrix := MATRIX[-1] in st.query_params:
        known = {name: st.query_params[name] for name in ("data",) if name in st.query_params}
        frame.link("evaluate", "Back to the matrix", "arrow_back", **known, **matrix())
    return is_of_matrix


def open_kind(name: str) -> None:
    """For a button's `on_click`."""
    _show(kind=name)


def open_photo(decoded: DecodedSource, index: int) -> None:
    """For a button's `on_click`."""
    shown = decoded.source.photos[index]
    _show(kind=decoded.source.classes[shown.label], photo=shown.id)


def close_photo() -> None:
    """For a button's `on_click`: back to what lies below the photo: its kind, or the view that it was opened in."""
    lies_in_kind = st.query_params.get("view", KINDS) == KINDS and "kind" in st.query_params
    _show(**{"kind": st.query_params["kind"]} if lies_in_kind else {})


def close_all() -> None:
    """For a button's `on_click`: back to the view itself."""
    _show()


def _show(**what: str) -> None:
    """Changes the address at once: every change of it is a step for the Back button."""
    before = {name: st.query_params.get_all(name) for name in st.query_params}
    left = ("kind", "photo", *(() if "photo" in what else MATRIX))
    kept = {name: values for name, values in before.items() if name not in left}
    if (after := kept | {name: [value] for name, value in what.items()}) != before:
        st.query_params.from_dict(after)


def photo_grid(decoded: DecodedSource, indices: Sequence[int], captions: Sequence[str], key: str) -> None:
    """Photos in a grid that fits the screen's width, as large as they are decoded; a click opens one.

    Args:
        captions: one line for each photo.
        key: sets it apart from other grids.
    """
    photos = decoded.source.photos
    of_id = {photos[i].id: i for i in indices}
    pictures = thumbnails(decoded, indices, SIDE)
    tiles.grid(
        [
            tiles.Tile(
                photos[i].id, picture, decoded.entries[i].aspect, note=caption, name=f"{caption}, {photos[i].name}"
            )
            for picture, i, caption in zip(pictures, indices, captions, strict=True)
        ],
        lambda photo: open_photo(decoded, of_id[photo]), key,
    )  # fmt: skip


def paged_grid(decoded: DecodedSource, indices: Sequence[int], key: str) -> None:
    """Like `photo_grid`, with split and size as captions and a pager below when there are many."""
    place = st.container()
    page = [int(indices[i]) for i in paged(len(indices), f"{key}-page-{decoded.source.key}")]
    photos, sizes = decoded.source.photos, decoded.sizes
    captions = [f"{photos[i].split} · {sizes[i][0]}×{sizes[i][1]}" for i in page]
    if len(indices) > PER_PAGE:
        st.caption(f"{len(indices):,} photos")
    with place:
        photo_grid(decoded, page, captions, key)
