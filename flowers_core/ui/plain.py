"""Text from outside (file names, folder names, error messages), shown and saved as what it is: text."""


def plain(text: str) -> str:
    """The text with everything escaped that Markdown would act on, such as a link that a viewer's browser fetches."""
    return "".join("\\" + c if c in r"\`*_{}[]()#+-.!|<>~$:&" else c for c in text)


def harmless(text: str) -> str:
    """Text for a cell of a CSV file that no spreadsheet takes for a formula, however it begins."""
    start = text.lstrip()[:1]
    return f"'{text}" if start in tuple("=+-@＝＋－＠|%") or text[:1] in ("\t", "\r", "\n") else text
