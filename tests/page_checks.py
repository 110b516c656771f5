"""What every page must hold, whatever is on it, and Chromium to look at one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

EVIL = (
    "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
    '" onfocus="window.evil = 1" style="color: red" \' & <style>* { display: none }</style>'
)
"""A name or a sentence that would run, style and load if it were not escaped."""


WIDTHS = {390: 844, 1400: 900}
"""Widths and heights of the screens, in pixels."""


class Visits:
    """Holds the pages that a test opened from disk; at the end nothing may have complained."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.contexts: list[Any] = []

    def open(self, path: Path, width: int = 1400, scheme: str = "light") -> Any:
        """The page in a window of its own."""
        context = self.browser.new_context(
            viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme
        )
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', "
            "(e) => console.error('CSP: ' + e.violatedDirective))"
        )
        page.goto(path.as_uri())
        return page

    def close(self) -> None:
        """Close all windows."""
        for context in self.contexts:
            context.close()
        assert self.complaints == []


class Page(HTMLParser):
    """A page: its elements with their attributes, its text on one line, and its data."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.data: Any = None
        self._inside = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script" and self.data is None:
            self.data = json.loads(data)
        elif self._inside not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def check(html: str) -> Page:
    """One file, whose own script and style alone count; nothing else that would run or load."""
    page = Page(html)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        (body,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "base", "object", "image")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not {"src", "srcset", "xlink:href"} & set(attributes)
        if tag == "use":
            assert str(attributes["href"]).removeprefix("#") in ids
    return page
