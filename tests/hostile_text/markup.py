"""What is in a page that no template of the console puts there."""

from __future__ import annotations

from html.parser import HTMLParser

OURS = frozenset(
    {
        "html", "head", "meta", "title", "link", "script", "body", "a", "header", "nav", "main", "h1", "h2", "h3", "h4",
        "section", "p", "dl", "dt", "dd", "div", "footer", "form", "input", "label", "button", "ul", "li", "table", "thead",
        "tbody", "tr", "th", "td", "bdi", "span", "time", "details", "summary", "svg", "g", "rect", "article", "textarea",
        "select", "option", "datalist", "br", "fieldset", "legend", "aside", "pre", "small", "strong",
        "progress", "ol", "noscript", "text", "circle", "line", "abbr", "code",
    }
)  # fmt: skip


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def faults(page: str) -> list[str]:
    """What is in a page that no template of ours puts there."""
    wrong = []
    for tag, attributes in Elements(page).found:
        if tag not in OURS or attributes.get("id") == "hacked" or "style" in attributes:
            wrong.append(f"<{tag} {attributes}>")
        wrong += [f"{tag}.{name}" for name in attributes if name.startswith("on")]
        for name in ("href", "src", "action"):
            address = attributes.get(name)
            if address is not None and (not address.startswith(("/", "#", "?")) or address.startswith("//")):
                wrong.append(f"{tag}.{name}={address!r:.80}")
        if tag == "script" and not (attributes.get("src") or "").startswith("/static/"):
            wrong.append("an inline script")
    return wrong
