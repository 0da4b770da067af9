"""Choices that stand in the page's address by their id, so that links, reloads and the Back button lead to them.

Streamlit's own `bind="query-params"` puts the shown text into the address, which for a model or a run changes
with its results, and takes two entries of one text for the same.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    state, address = st.session_state, st.query_params.get(key)
    last = state.get(f"{key}-choice", _Choice())
    now = _decide(last, names, state.get("visit"), address, state.get(key), first, follow, take, remember)
    if now.gone and (now.is_led or called):
        say_gone(f"“{called(now.gone) if called else now.gone}” ({label})")
    state[key] = now.chosen  # by id, because the text that the browser knows may be another by now
    shown = _distinct(names)
    widget(label, list(names), format_func=shown.__getitem__, key=key, **look)
    unnamed = last.unnamed
    if now.is_picked:  # at once: every change of the address is a step for the Back button
        kept = {name: st.query_params.get_all(name) for name in st.query_params if name not in drops}
        st.query_params.from_dict(kept | {key: [now.chosen]})
    elif not address:
        unnamed = now.chosen, now.by_hand  # what Back leads to, should another be chosen now
    stands = st.query_params.get(key)
    addresses = (stands,)
    if stands != now.chosen and (stands or now.by_hand):  # it names what is gone, or this was chosen on another page
        _put_into_address(key, now.chosen, stands or "")
        addresses = stands, now.chosen
    follows = follow and not now.by_hand
    stand_in = now.chosen if now.gone else last.stand_in
    state[f"{key}-choice"] = _Choice(state.get("visit"), addresses, now.chosen, now.by_hand, unnamed, follows, stand_in)
    return now.chosen


@dataclass(frozen=True)
class _Choice:
    """What one run of a page leaves for the next.

    Args:
        visit: of which page that was.
        addresses: what the address said then, and what it has been made to say.
        chosen: the id.
        by_hand: a person chose it, by a click or by a link.
        unnamed: `chosen` and `by_hand` that an address without a choice leads back to.
        follows: it was the page's own `first`, which counts on no other page.
        stand_in: what the address was last made to say in place of what is gone: nobody chose that.
    """

    visit: int | None = None
    addresses: tuple[str | None, ...] = (None,)
    chosen: str | None = None
    by_hand: bool = False
    unnamed: tuple[str | None, bool] = (None, False)
    follows: bool = False
    stand_in: str | None = None


class _Decision(NamedTuple):
    """What is chosen now; whether a person ever chose it, whether it was just now; what was meant and is gone, and
    whether a link or the Back button had led there."""

    chosen: str
    by_hand: bool
    is_picked: bool
    gone: str | None
    is_led: bool


def _decide(
    last: _Choice,
    names: dict[str, str],
    visit: int | None,
    address: str | None,
    selected: str | None,
    first: str | None,
    follow: bool,
    take: str | None,
    remember: bool,
) -> _Decision:
    """Which of the address, the widget, an earlier run and the usual choice counts. Arguments as for `choose`.

    Args:
        last: what the run before left.
        visit: of which page this is.
        address: what the address says.
        selected: what the widget says.
    """
    meant, by_hand, is_picked = last.chosen, last.by_hand, False
    is_led = visit != last.visit or address not in last.addresses
    if take in names:
        meant, is_picked = take, True
    elif visit != last.visit:
        goes_on = first is None and not last.follows  # what another page began with
        meant = address if address in names else meant if remember and (by_hand or goes_on) else None
    elif is_led:  # a link, or Back and Forward
        meant, by_hand = (address, by_hand) if address else last.unnamed
    elif selected in names:
        is_picked = selected != meant
        meant = selected if is_picked or by_hand or not follow else None
    gone = address if is_led else meant
    by_hand = meant in names and (is_picked or by_hand or meant == address != last.stand_in)
    usual = first if first in names else next(iter(names))
    return _Decision(
        meant if meant in names else usual, by_hand, is_picked,
        None if is_picked or not gone or gone in names else gone, is_led,
    )  # fmt: skip


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
    last = st.session_state.get(f"{key}-choice", _Choice())
    return last.chosen if last.by_hand else None


def _distinct(names: dict[str, str]) -> dict[str, str]:
    """The same, with a number behind each text that occurs again: the browser tells entries apart by their texts."""
    seen: Counter[str] = Counter()
    shown = {}
    for key, name in names.items():
        seen[name] += 1
        shown[key] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return shown
