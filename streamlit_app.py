"""The app: `streamlit run streamlit_app.py`. Declares the pages and shows the one that was asked for."""

import streamlit as st

from flowers_core.machine import memory
from flowers_core.ui import frame

memory.share_arenas()
st.set_page_config(page_title="AlexNet Flowers", page_icon=":material/local_florist:", layout="wide")
page = frame.navigation()
st.logo(":material/local_florist:", size="large")
with st.sidebar:
    frame.training_note()
page.run()
