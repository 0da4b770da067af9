"""Widgets and charts that the pages share: beside the pages the only code that knows Streamlit."""
