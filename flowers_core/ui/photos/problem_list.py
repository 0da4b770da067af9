"""What is wrong with the photos, side by side, each with remedies that one click makes and one click undoes."""

import pandas as pd
import streamlit as st

from flowers_core.machine import memory
from flowers_core.photos import problems
from flowers_core.photos.cache import DecodedSource
from flowers_core.photos.features import Features
from flowers_core.photos.problems import PROBLEMS, Finding
from flowers_core.sources import edits
from flowers_core.ui import changes, words
from flowers_core.ui.errors import guarded
from flowers_core.ui.photos import opened
from flowers_core.ui.photos.seen import features_of, stored
from flowers_core.ui.pictures import thumbnails
from flowers_core.ui.plain import plain
from flowers_core.ui.text_table import text_table

PER_PAGE = 4
"""Findings on one page: two screens of a laptop."""

SIDE_BY_SIDE = 4
"""Photos of one finding that are shown."""

EXAMPLES = 3
"""Photos of the other kind that are shown beside a doubtful label."""

UNREADABLE = "unreadable"

PLACES = "problem-places"
"""What stood where on the page that is open: which page, the changes made before, and each finding's photos."""


def show(decoded: DecodedSource) -> None:
    """The findings of the chosen problem, and the changes made so far."""
    found = _found(decoded)
    changes.log(decoded)
    counts = {problem: sum(finding.problem == problem for finding in found) for problem in PROBLEMS}
    counts[UNREADABLE] = len(decoded.source.problems)
    known = stored(decoded) is not None
    names = {problem: title.title for problem, title in PROBLEMS.items()} | {UNREADABLE: "Unreadable"}
    labels = {
        problem: f"{names[problem]} ({'?' if problem == 'label' and not known else f'{count:,}'})"
        for problem, count in counts.items()
    }
    first = next((problem for problem, count in counts.items() if count), "label" if not known else "copies")
    if st.session_state.get("problem") not in (None, *counts):
        st.session_state["problem"] = first
    asked = st.session_state.get("problem", first)
    offered = [name for name, count in counts.items() if count or name == asked or (name == "label" and not known)]
    problem = st.pills("Problem", offered, default=first, format_func=labels.__getitem__, key="problem",
                    label_visibility="collapsed", required=True)  # fmt: skip
    if without := [names[name] for name in counts if name not in offered]:
        st.caption(f"Looked for and not found: {', '.join(without).lower()}.")
    if not any(counts.values()) and known:
        st.success("Nothing is wrong with these photos.", icon=":material/check_circle:")
    if problem == UNREADABLE:
        _unreadable(decoded)
        return
    st.caption(PROBLEMS[problem].why)
    if problem == "label":
        st.caption(
            "Needs no training: each photo is judged by a classifier that learned from the others, on the convolutions "
            "of a network that learned from ImageNet. It errs too: look before you relabel."
        )
        if features_of(decoded, "to judge the labels", at_once=False) is None:
            return
        if not known:
            st.rerun()
    chosen = [finding for finding in found if finding.problem == problem]
    if not chosen:
        st.success("None found.", icon=":material/check_circle:")
    elif problem in ("copies", "near-copies"):
        _about_copies(decoded, chosen)
    pages = -(-len(chosen) // PER_PAGE)
    place = st.container()
    page = min(st.pagination(pages, key=f"problems-{problem}"), pages) if pages > 1 else 1
    with place:
        for number, each in enumerate(_in_their_places(decoded, chosen, problem, page)):
            if isinstance(each, Finding):
                _finding(decoded, each, f"{problem}-{number}")
            else:
                _settled(decoded, each)


def _in_their_places(
    decoded: DecodedSource, chosen: list[Finding], problem: str, page: int
) -> list[Finding | list[edits.Edit]]:
    """A page's findings where they stood when it was opened, and in the place of one that a click has settled its
    changes: else the next one's buttons would come to lie under a hand that has just clicked. New ones come below."""
    key, photos = (decoded.source.key, problem, page), decoded.source.photos
    names = {id(finding): {photos[i].name for i in finding.photos} for finding in chosen}
    rest = chosen[(page - 1) * PER_PAGE :]
    of, before, places = st.session_state.get(PLACES, (None, set(), []))
    if of != key:
        before, places = {edit.id for edit in decoded.edits}, []
    shown, kept, open_ones = [], [], 0
    for place in places:
        same = next((finding for finding in rest if names[id(finding)] & place), None)
        made = [edit for edit in decoded.edits if edit.id not in before and {edit.name, *edit.copies} & place]
        if same:
            rest.remove(same)
        if same or made:
            shown.append(same or made)
            kept.append(place)
            open_ones += same is not None
    for finding in rest[: max(0, PER_PAGE - open_ones)]:
        shown.append(finding)
        kept.append(names[id(finding)])
    st.session_state[PLACES] = key, before, kept
    return shown


def _settled(decoded: DecodedSource, made: list[edits.Edit]) -> None:
    ids = tuple(edit.id for edit in made)
    who = made[-1].name if len(made) == 1 else words.count(len(made), "photo")
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.text(f"{who}: {made[-1].in_words}.", width="stretch")
        st.button(
            "Undo", key=f"unsettle-{ids[-1]}", icon=":material/undo:", on_click=guarded(edits.undo),
            args=(decoded.source.key, ids),
        )  # fmt: skip


def _about_copies(decoded: DecodedSource, chosen: list[Finding]) -> None:
    crossing = sum(finding.crosses for finding in chosen)
    if crossing:
        st.warning(
            f"{crossing:,} of them lie{'s' * (crossing == 1)} in more than one split: the network is asked about "
            "photos that it has learned by heart.",
            icon=":material/content_copy:",
        )
    clear = [finding.photos for finding in chosen if len(_kinds(decoded, finding)) == 1]
    if len(clear) < len(chosen):
        st.warning("Some lie among several kinds. Only you can tell which is right.", icon=":material/label:")
    if clear:
        others = sum(len(photos) - 1 for photos in clear)
        st.button(
            f"Keep one of each, exclude {others:,}", icon=":material/filter_1:", on_click=guarded(changes.keep_one),
            args=(decoded, clear),
            help="Kept is what lies in train before valid before test, and of those the largest.",
        )  # fmt: skip


def _kinds(decoded: DecodedSource, finding: Finding) -> list[int]:
    """The kinds that a finding's photos lie among."""
    return sorted({int(decoded.labels[i]) for i in finding.photos})


def _finding(decoded: DecodedSource, finding: Finding, key: str) -> None:
    shown = finding.photos[:SIDE_BY_SIDE]
    photos, classes, kinds = decoded.source.photos, decoded.source.classes, _kinds(decoded, finding)
    with st.container(border=True):
        more = f", {len(finding.photos) - len(shown):,} more" if len(finding.photos) > len(shown) else ""
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"{plain(classes[photos[shown[0]].label])}: {plain(finding.note)}{more}", width="stretch")
            for label in kinds if len(finding.photos) > 1 else ():
                several = len(kinds) > 1
                st.button(
                    f"Keep it as {plain(classes[label])}" if several else "Keep one", key=f"{key}-keep-{label}",
                    icon=":material/filter_1:", on_click=guarded(changes.keep_one),
                    args=(decoded, [finding.photos], label if several else None),
                )  # fmt: skip
            st.button(
                "It is fine", key=f"{key}-fine", icon=":material/check:", on_click=guarded(changes.make),
                args=(decoded, finding.photos, edits.ACCEPT, finding.problem), help="Don't show this again.",
            )  # fmt: skip
        grid = st.grid("auto", min_column_width=150)  # two on a phone
        for index, picture in zip(shown, thumbnails(decoded, shown, 256), strict=True):
            photo, entry = photos[index], decoded.entries[index]
            of_kind = f"{classes[photo.label]} · " if len(kinds) > 1 else ""  # one kind stands above them all
            with grid.cell():
                st.image(picture, width="stretch", alt=f"A photo of {classes[photo.label]}")
                st.text(photo.name)
                st.button(
                    plain(f"{of_kind}{photo.split} · {entry.width}×{entry.height}"),
                    key=f"{key}-{index}-open", type="tertiary", help="Open this photo",
                    on_click=opened.open_photo, args=(decoded, index),
                )  # fmt: skip
                changes.remedies(decoded, index, f"{key}-{index}", finding.suggestion)
        if finding.suggestion is not None:
            _examples(decoded, finding.suggestion, grid)


def _examples(decoded: DecodedSource, label: int, grid) -> None:
    """A few photos of the kind that a suspect looks like, beside it."""
    name = decoded.source.classes[label]
    some = (decoded.labels == label).nonzero()[0][:EXAMPLES].tolist()
    for picture in thumbnails(decoded, some, 256):
        with grid.cell():
            st.image(picture, width="stretch", alt=f"A photo of {name}")
            st.caption(f"{plain(name)}, to compare")


def _unreadable(decoded: DecodedSource) -> None:
    if not decoded.source.problems:
        st.success("Every file could be read.", icon=":material/check_circle:")
        return
    st.caption("These files were left out. The rest works without them.")
    rows = [(problem.path, problem.reason) for problem in decoded.source.problems]
    text_table(pd.DataFrame(rows, columns=["File", "Reason"]))


def _found(decoded: DecodedSource) -> list[Finding]:
    """The findings; looked for again when the photos, what is accepted, or the features have changed."""
    known = stored(decoded)
    state = decoded.source.key, decoded.order, tuple(edit.id for edit in decoded.edits), known is not None
    return _searched(state, decoded, known)


@st.cache_resource(max_entries=8, show_spinner="Looking for problems…")
def _searched(state: tuple, _decoded: DecodedSource, _known: Features | None) -> list[Finding]:
    found = problems.find(_decoded, _known)
    memory.trim()
    return found
