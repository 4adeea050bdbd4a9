"""Draws with matplotlib, and returns SVG that takes its colours and fonts from the page.

matplotlib knows no CSS. So each colour here is a number that stands for a variable of style.css,
and is replaced by it in the SVG: one picture serves light, dark and paper.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Annotation

#: Variable of style.css -> the colour that stands for it while matplotlib draws.
COLOURS: Final = {
    name: f"#0102{number:02x}"
    for number, name in enumerate(
        (
            *("ink", "muted", "rule", "paper", "F32", "F16", "Q8_0", "Q4_0", "TQ2_0", "other"),
            *(f"part{part}" for part in range(1, 7)),
        ),
        1,
    )
}
INK, MUTED, RULE, PAPER = (COLOURS[name] for name in ("ink", "muted", "rule", "paper"))

#: Width and height at which a picture is drawn, in CSS pixels; it grows with its column.
_SIZE: Final = (340, 230)
_POINTS: Final = 72 / 96
#: Any: matplotlib's type is the list of all its settings.
_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11 * _POINTS,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}
#: Where a label may stand beside its point, best first: offset in points, and which side it grows.
_PLACES: Final = (
    ((4, 3), "left", "bottom"),
    ((4, -3), "left", "top"),
    ((-4, 3), "right", "bottom"),
    ((-4, -3), "right", "top"),
    ((6, 0), "left", "center"),
    ((-6, 0), "right", "center"),
)
#: matplotlib keeps fonts and settings for the whole process; pages are made by many threads.
_ONE_AT_A_TIME: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture with its heading."""

    title: str
    svg: Markup


class Picture:
    """One small plot. Use it with `with`; svg() ends it."""

    def __init__(self) -> None:
        self._style: Any = rc_context(_STYLE)
        self._titles: dict[str, str] = {}
        self._labels: list[tuple[float, float, str]] = []

    def __enter__(self) -> Self:
        _ONE_AT_A_TIME.acquire()
        try:
            self._style.__enter__()
            width, height = (pixels / 96 for pixels in _SIZE)
            # 72 dots an inch, as SVG has: what is laid out here is what is written.
            self._figure = Figure(figsize=(width, height), dpi=72, layout="constrained")
            self._canvas: Any = FigureCanvasSVG(self._figure)
            self.axes: Axes = self._figure.add_subplot()
        except BaseException:
            _ONE_AT_A_TIME.release()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._style.__exit__(*exc)
        finally:
            _ONE_AT_A_TIME.release()

    def link(self, target: str, title: str) -> str:
        """Return a link for a mark: to `#target`, with a title that shows on hovering."""
        url = f"#{target}"
        self._titles[url] = title
        return url

    def legend(self) -> None:
        """Name the parts of a picture above it, without a frame."""
        self._figure.legend(
            loc="outside upper left", ncols=3, frameon=False, fontsize="small",
            handlelength=0.8, handleheight=0.8, columnspacing=1, borderpad=0,
        )  # fmt: skip

    def label(self, x: float, y: float, text: str) -> None:
        """Write a text beside a point, where there is room for it once all is drawn."""
        self._labels.append((x, y, text))

    def svg(self, says: str) -> Markup:
        """Return the picture for a page; `says` is read to those who cannot see it."""
        self._canvas.draw()  # lays everything out, so that texts have places
        self._place_labels()
        out = io.StringIO()
        with rc_context({"svg.hashsalt": says}):  # ids differ between the pictures of a page
            self._canvas.print_svg(
                out, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
            )
        return _for_page(out.getvalue(), says, self._titles)

    def _place_labels(self) -> None:
        """Put each label on the first side of its point where it covers nothing.

        A label that finds no room is left out: colour, title and table still say what it would.
        """
        frame = self.axes.get_window_extent()
        points = [self.axes.transData.transform((x, y)) for x, y, _ in self._labels]
        taken: list[Any] = []
        # The upper one first: of two points side by side it gets the place above.
        for x, y, text in sorted(self._labels, key=lambda label: -label[1]):
            for offset, horizontal, vertical in _PLACES:
                note = self._note(x, y, text, offset, horizontal, vertical)
                box = note.get_window_extent()
                inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0
                if inside and box.count_overlaps(taken) == 0 and not box.count_contains(points):
                    taken.append(box)
                    break
                note.remove()

    def _note(
        self, x: float, y: float, text: str, offset: tuple[float, float], side: Any, level: Any
    ) -> Annotation:
        return self.axes.annotate(
            text, (x, y), offset, textcoords="offset points", ha=side, va=level
        )


def colour_of(weight_type: str) -> str:
    """Return the colour of a weight type, the same in every plot."""
    return COLOURS.get(weight_type, COLOURS["other"])


def _for_page(svg: str, says: str, titles: Mapping[str, str]) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[0-9.]+pt"', "", svg, count=2)
    used = set(re.findall(r"#(\w+)", svg))
    # matplotlib counts its ids from one in each picture; a page has many.
    svg = re.sub(r' id="([\w.]+)"', lambda found: found[0] if found[1] in used else "", svg)
    head = f'<svg role="img" aria-label="{escape(says)}"'
    svg = svg.replace("<svg", head, 1)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    for url, title in titles.items():
        link = f'<a xlink:href="{escape(url)}"'  # matplotlib would open it in a window of its own
        svg = svg.replace(f'{link} target="_blank">', f"{link}><title>{escape(title)}</title>")
    return Markup(svg)  # noqa: S704 - matplotlib escapes its texts, and ours are escaped above
