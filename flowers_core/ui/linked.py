"""Choices that stand in the page's address by their id, so that links, reloads and the Back button lead to them.

Streamlit's own `bind="query-params"` puts the shown text into the address, which for a model or a run changes
with its results, and takes two entries of one text for the same.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from flowers_core.ui.plain import plain

ADDRESS = Path(__file__).with_name("address.js")


def choose(
    label: str,
    names: dict[str, str],
    key: str,
    *,
    first: str | None = None,
    follow: bool = False,
    take: str | None = None,
    remember: bool = True,
    drops: Sequence[str] = (),
    called: Callable[[str], str] | None = None,
    widget: Callable[..., Any] = st.selectbox,
    **look: Any,
) -> str:
    """The id that is chosen.

    Args:
        label: of the widget.
        names: what to show for each id.
        key: the address's parameter, and the widget's key.
        first: what is chosen when nobody has chosen yet, here or on another page; when None the first of `names`,
            or what another page began with.
        follow: another `first` is chosen while nobody has chosen, and it counts on no other page.
        take: chosen now, whatever was before.
        remember: what was chosen on another page holds here too.
        drops: parameters of the address that mean nothing once another is chosen.
        called: what an id was called that is none of `names`; with it, people are told also of what is gone since
            they chose it.
        widget: `st.selectbox` or `st.segmented_control`.
        look: further arguments of the widget.
    """
    state, visit = st.session_state, st.session_state.get("visit")
    address = st.query_params.get(key)
    nothing = None, (None,), None, False, (None, False), False
    last_visit, addresses_before, chosen, by_hand, unnamed, followed = state.get(f"{key}-choice", nothing)
    picked = False
    goes_on = first is None and not followed  # what another page began with
    is_new = visit != last_visit or address not in addresses_before
    if take in names:
        chosen, picked = take, True
    elif visit != last_visit:
        chosen = address if address in names else chosen if remember and (by_hand or goes_on) else None
    elif address not in addresses_before:  # a link, or Back and Forward
        chosen, by_hand = (address, by_hand) if address else unnamed
    elif state.get(key) in names:
        picked = state[key] != chosen
        chosen = state[key]
        if follow and not (picked or by_hand):
            chosen = None
    gone = address if is_new else chosen if called else None
    if gone and gone not in names and not picked:
        say_gone(f"“{called(gone) if called else gone}” ({label})")
    by_hand = chosen in names and (picked or by_hand or chosen == address)
    if chosen not in names:
        chosen = first if first in names else next(iter(names))
    state[key] = chosen  # by id, because the text that the browser knows may be another by now
    shown = _distinct(names)
    widget(label, list(names), format_func=shown.__getitem__, key=key, **look)
    if picked:  # at once: every change of the address is a step for the Back button
        kept = {name: st.query_params.get_all(name) for name in st.query_params if name not in drops}
        st.query_params.from_dict(kept | {key: [chosen]})
    elif not address:
        unnamed = chosen, by_hand  # what Back leads to, should another be chosen now
    stands = st.query_params.get(key)
    addresses = [stands]
    if stands != chosen and (stands or by_hand):  # it names what is gone, or this was chosen on another page
        _put_into_address(key, chosen, stands or "")
        addresses.append(chosen)
    state[f"{key}-choice"] = (visit, tuple(addresses), chosen, by_hand, unnamed, follow and not by_hand)
    return chosen


def _put_into_address(key: str, value: str, stands: str) -> None:
    """In place of what stands there, so that a reload leads to it; the script learns of it at its next run."""
    with st.sidebar:  # where nothing of the page makes room for what is not seen
        put = st.components.v2.component("address", js=ADDRESS.read_text())
        put(key=f"address-{key}", data={"key": key, "value": value, "stands": stands})


def check(label: str, names: Iterable[str], key: str) -> None:
    """In place of `choose` where there is nothing to choose: says so when the address names what is not there."""
    address = st.query_params.get(key)
    if address and address not in names:
        del st.query_params[key]
        say_gone(f"“{address}” ({label})")


def say_gone(what: str) -> None:
    """Tells who followed a link that what it names is not what they see."""
    st.toast(
        f"Not here (any more): {plain(what[:80])}. Something else is shown.",
        icon=":material/link_off:", duration="infinite",
    )  # fmt: skip


def forget(key: str) -> None:
    """Nobody has chosen yet, unless the address does."""
    for name in (key, f"{key}-choice"):
        st.session_state.pop(name, None)


def by_hand(key: str) -> str | None:
    """The id that was chosen in this session, by a click or by a link; None while nobody has chosen."""
    _, _, chosen, by_hand, *_ = st.session_state.get(f"{key}-choice", (None, None, None, False))
    return chosen if by_hand else None


def _distinct(names: dict[str, str]) -> dict[str, str]:
    """The same, with a number behind each text that occurs again: the browser tells entries apart by their texts."""
    seen: Counter[str] = Counter()
    shown = {}
    for key, name in names.items():
        seen[name] += 1
        shown[key] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return shown
