"""Text from outside (file names, folder names, error messages) that Streamlit must show as it is."""


def plain(text: str) -> str:
    """The text with everything escaped that Markdown would act on, such as a link that a viewer's browser fetches."""
    return "".join("\\" + c if c in r"\`*_{}[]()#+-.!|<>~$:&" else c for c in text)
