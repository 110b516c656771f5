"""Takes figures drawn with matplotlib; gives SVG elements in the colours of the page around them.

matplotlib (extra `report`) writes colours and fonts into style attributes. A content security
policy without unsafe-inline forbids these, and no dark page can change them. Here they become
classes and presentation attributes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from stance.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = 12
"""Size of text; all sizes are CSS pixels, as long as the page shows a chart at its own width."""

INK, QUIET, LINE, FAVOR, AGAINST, FAVOR_BAR, AGAINST_BAR, BLUE = (
    f"#00000{number}" for number in range(1, 9)
)
"""What to draw with: no colours, but signs for them. The page's style says what they are."""

NAMES = {
    INK: "ink",
    QUIET: "quiet",
    LINE: "line",
    FAVOR: "favor",
    AGAINST: "against",
    FAVOR_BAR: "favor-bar",
    AGAINST_BAR: "against-bar",
    BLUE: "blue",
}
"""The names of their classes: fill-ink, stroke-ink and so on."""

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_DROPPED = {"font-family", "font-style", "font-variant", "font-weight", "font-stretch"}


def canvas(
    width: float, height: float, *, margins: Sequence[float] = (0, 0, 0, 0)
) -> tuple[Figure, Axes]:
    """A figure of this size, and its empty axes; margins are top, right, bottom, left.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "report")
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
    FigureCanvasSVG(figure)
    top, right, bottom, left = margins
    area = (left / width, bottom / height)
    axes = figure.add_axes(
        (*area, (width - left - right) / width, (height - top - bottom) / height), frameon=False
    )
    axes.tick_params(length=0, labelsize=FONT - 1, labelcolor=QUIET, pad=4)
    return figure, axes


def plain(text: str, length: int) -> str:
    """A name on one line of a chart: without what XML forbids, and cut to so many characters."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def svg(figure: Figure, name: str, told: str) -> str:
    """The figure as an SVG element.

    Args:
        name: begins the ids inside; no two charts of a page may have the same.
        told: the same in words, for those who do not see it.
    """
    matplotlib = require("matplotlib", "report")
    stream = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": name}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # Of letters that matplotlib's own font lacks; the page has others.
        warnings.filterwarnings("ignore", message="(Glyph|Matplotlib currently does not support)")
        figure.savefig(stream, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(stream.getvalue())
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", stream.getvalue()))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = _attributes(element.attrib, name, used)
    box = root.attrib["viewBox"]
    body = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    body = re.sub(r"\s*\n\s*", " ", body)
    width = box.split()[2].removesuffix(".0")
    return (
        f'<svg class="chart" viewBox="{box}" width="{width}" role="img" '
        f'aria-label="{escape(told)}">{body}</svg>'
    )


def _attributes(old: Mapping[str, str], name: str, used: set[str]) -> dict[str, Any]:
    """An element's attributes: colours as classes, other styles as attributes, ids made unique."""
    new = {key: value for key, value in old.items() if key not in ("style", "id", _LINK)}
    if old.get("id") in used:
        new["id"] = f"{name}-{old['id']}"
    if _LINK in old:
        new["href"] = f"#{name}-{old[_LINK][1:]}"
    if "clip-path" in new:
        new["clip-path"] = new["clip-path"].replace("url(#", f"url(#{name}-")
    classes = []
    for declaration in old.get("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if value in NAMES:
            classes.append(f"{key}-{NAMES[value]}")
        elif key and key not in _DROPPED:
            new[key] = value
    if classes:
        new["class"] = " ".join(classes)
    return new
