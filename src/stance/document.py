"""Takes the parts of a page; gives one self-contained HTML document.

It needs no network and works from disk. Its content security policy allows its own script and
style alone, by their hash: neither inline styles nor event handlers of anything inserted count.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from stance.resources import PACKAGE


def document(title: str, body: Iterable[str], data: object, *, style: str, script: str) -> str:
    """The whole page.

    Args:
        title: plain text.
        body: HTML; what comes from articles must be escaped in it.
        data: for the script, as JSON in the element `data`.
        style, script: names of files in `assets`.
    """
    css, code = _asset(style), _asset(script)
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(code)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{css}</style></head><body>",
            *body,
            f'<script type="application/json" id="data">{_json(data)}</script>',
            f"<script>{code}</script></body></html>",
            "",
        ]
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts, which may be wider than the page; rows begin with their name."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return (
        '<div class="scroll" tabindex="0"><table class="figures">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def filters(fields: Mapping[str, str], things: str) -> str:
    """The filters of the list that the script fills, and the empty list.

    Args:
        fields: of the rows, with their labels; `since` and `until` go by the month.
        things: what the rows are, such as "sentences".
    """
    selects = "".join(
        f'<label>{escape(label)} <select class="filter" data-field="{escape(name)}">'
        '<option value="">any</option></select></label>'
        for name, label in fields.items()
    )
    return (
        f'<div class="controls" role="group" aria-label="Filters of the {things}">{selects}'
        '<label>words <input type="search" id="words" autocomplete="off"></label>'
        '<button type="button" id="reset">all again</button></div>'
        '<p class="quiet printed" id="choice"></p>'
        '<p class="quiet" id="count" role="status"></p>'
        '<div class="scroll" tabindex="0"><table class="list"><thead><tr id="head"></tr></thead>'
        '<tbody id="list"></tbody></table></div>'
        '<p><button type="button" id="more" hidden>show more</button></p>'
    )


def _json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return (PACKAGE / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
