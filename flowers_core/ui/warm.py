"""Loads what the next click will need while nobody waits for it."""

import importlib
import threading

import streamlit as st

from flowers_core.machine import memory


@st.cache_resource(show_spinner=False)
def up(light: tuple[str, ...], heavy: tuple[str, ...] = ()) -> None:
    """Once per server: imports modules in a thread.

    Args:
        light: names of modules.
        heavy: of those that load torch: left out on a small host.
    """
    modules = (*light, *(heavy if memory.usual_preset() == "standard" else ()))
    # No daemon: a process must not end in the middle of an import of torch.
    threading.Thread(target=lambda: [importlib.import_module(module) for module in modules]).start()
