"""The frame around every page: its navigation, and the way back into it from a cold link."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from flowers_core.ui import dialogs, errors
from flowers_core.ui.plain import plain

STYLE = Path(__file__).with_name("style.css")
"""What Streamlit's theme can't say."""

EVERY_S = 3.0
"""Seconds between two looks at whether a training is still going on."""

PAGES = {
    "": [("home", "Home", "home", "What this is, and what to do next.")],
    "Look": [
        ("photos", "Photos", "photo_library", "The kinds of flowers, their photos, and what is wrong with them."),
    ],
    "Learn": [
        ("train", "Train", "model_training", "Choose settings, start training, and watch it learn."),
        ("compare", "Compare", "compare_arrows", "Several trainings side by side: curves, settings, results."),
        ("tune", "Tune", "tune", "Search for better settings, and see which of them matter."),
        ("evaluate", "Evaluate", "grid_on", "The confusion matrix: what is taken for what, photo by photo."),
    ],
    "Use": [
        ("classify", "Name a flower", "photo_camera", "Upload a photo or use the camera to hear a flower's name."),
    ],
}
"""Section: (file below pages/ and address, title, icon, help) of each page."""


def navigation():
    """Declares all pages; the result's `run()` shows the one that was asked for."""
    sections = {
        section: [
            st.Page(
                f"pages/{name}.py",
                title=title,
                icon=f":material/{icon}:",
                url_path="" if name == "home" else name,
                default=name == "home",
                help=help,
            )
            for name, title, icon, help in pages
        ]
        for section, pages in PAGES.items()
    }
    st.html(STYLE)
    page = st.navigation(sections)
    dialogs.begin()
    if st.session_state.get("page") != page.url_path:
        st.session_state["page"] = page.url_path
        st.session_state["visit"] = st.session_state.get("visit", 0) + 1  # see linked.choose
    return page


def enter() -> None:
    """The first line of every page.

    Because the folder is called `pages/`, a server that was just started runs the page of a deep link alone,
    before the entry file ever declared its navigation. Switching that legacy mode off and running again
    brings the whole frame. The name is internal to Streamlit; without it the page would show, unframed.
    """
    try:
        from streamlit.runtime.pages_manager import PagesManager

        legacy = PagesManager.uses_pages_directory
    except (ImportError, AttributeError):
        legacy = False
    if legacy:
        PagesManager.uses_pages_directory = False
        st.rerun()
    errors.of_the_last_click()


def link(name: str, label: str, icon: str, **query: str) -> None:
    """A link to another page, with query parameters."""
    st.page_link(f"pages/{name}.py", label=label, icon=f":material/{icon}:", query_params=query or None)


def training_note() -> None:
    """A line in the sidebar while something trains, on whatever page one is. Looks again by itself meanwhile."""
    from flowers_core import runs
    from flowers_core.training import lr_finder
    from flowers_core.tuning import studies

    def is_alive() -> bool:
        elsewhere = st.session_state.get("page") != "tune" and studies.alive()
        return bool(runs.active_runs() or elsewhere or lr_finder.active())

    if is_alive():
        while_alive(_notes, is_alive)


def while_alive(draw: Callable[[], None], is_alive: Callable[[], object] | None = None) -> None:
    """Draws a part of the page again and again for as long as any training is alive, and then the whole page.

    Args:
        draw: the part.
        is_alive: what to ask in place of whether a training is alive.
    """
    from flowers_core import runs

    is_alive = is_alive or runs.active_runs

    def again() -> None:
        if not is_alive():
            st.rerun()  # the last one has ended, and with it the reason to look again
        draw()

    again.__qualname__ = draw.__qualname__  # by which Streamlit tells fragments apart
    st.fragment(again, run_every=EVERY_S)()


def _notes() -> None:
    from flowers_core import runs
    from flowers_core.training import lr_finder
    from flowers_core.tuning import studies

    if st.session_state.get("page") != "tune":
        for study in studies.alive():
            link("tune", "A search is running", "progress_activity", study=study.id)
    for test in lr_finder.active():
        if st.session_state.get("page") != "train":
            link("train", "A learning rate is measured", "speed", run="new", **{"lr-test": test.id})
        else:
            st.caption(":material/speed: A learning rate is measured")
    active = runs.active_runs()[:3]
    for run in active:
        word = {"paused": "paused", "queued": "waiting"}.get(run.state(), "running")
        label = f"A training is {word}" if len(active) == 1 else f"{plain(run.name)} is {word}"
        icon = "progress_activity" if word == "running" else "pause_circle"
        if st.session_state.get("page") == "train":  # a link to the page that one is on leaves the address as it is
            if st.button(label, key=f"note-{run.id}", icon=f":material/{icon}:", type="tertiary"):
                st.session_state["started-run"] = run.id
                st.rerun()  # a click here draws this line anew only, and the page must change
        else:
            link("train", label, icon, run=run.id)
