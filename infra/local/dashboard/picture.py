"""Draw the dashboard on its grid of 24 columns, much as the console of CloudWatch shows it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from PIL import Image

from infra.local.dashboard.readings import Reading, Series, Span

GRID_COLUMNS = 24
WIDTH_INCHES = 16.0
ROW_INCHES = 0.52
HEADER_ROWS = 1.2
LEGEND_COLUMNS = 2
DOTS_PER_INCH = 100
ALARMS_IN_A_ROW = 6
COLOURS_IN_FILE = 64
"""So few keep the file small, and nobody sees it."""
LINE_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
STATE_COLOURS = {
    "OK": "#1d8102",
    "ALARM": "#d13212",
    "INSUFFICIENT_DATA": "#687078",
    "NOT_EMULATED": "#aab7b8",
}
PAPER, FRAME, INK, FAINT = "#f2f3f3", "#d5dbdb", "#16191f", "#687078"
STYLE = {"font.size": 8.5, "text.color": INK, "axes.edgecolor": FRAME, "xtick.color": FAINT}


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the page, in inches from its upper left corner."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of(cls, widget: Mapping[str, Any]) -> Self:
        """Return the place of a widget, a little smaller than its part of the grid."""
        column, margin = WIDTH_INCHES / GRID_COLUMNS, 0.04
        return cls(
            widget["x"] * column + margin,
            (widget["y"] + HEADER_ROWS) * ROW_INCHES + margin,
            widget["width"] * column - 2 * margin,
            widget["height"] * ROW_INCHES - 2 * margin,
        )

    def inset(self, left: float, top: float, right: float, bottom: float) -> Self:
        """Return what is left of this place within margins."""
        width, height = self.width - left - right, self.height - top - bottom
        return type(self)(self.left + left, self.top + top, width, height)


class Page:
    """A page of widgets."""

    def __init__(self, title: str, widgets: Sequence[Mapping[str, Any]], span: Span) -> None:
        """Begin a page that is large enough for these widgets."""
        self._times = list(span.times())
        rows = max(widget["y"] + widget["height"] for widget in widgets) + HEADER_ROWS
        self._height = rows * ROW_INCHES + 0.1
        self._figure = Figure(
            figsize=(WIDTH_INCHES, self._height), dpi=DOTS_PER_INCH, facecolor=PAPER
        )
        header = self._axes(Box(0.1, 0, WIDTH_INCHES - 0.2, HEADER_ROWS * ROW_INCHES))
        header.set_axis_off()
        header.text(0, 0.5, title, fontsize=15, fontweight="bold", va="center")
        times = f"{span.begin:%H:%M} to {span.end:%H:%M} UTC, a point for {span.period} seconds"
        text = f"{times}; grey: nothing of this kind happened"
        header.text(1, 0.5, text, fontsize=10, color=FAINT, ha="right", va="center")

    def text(self, widget: Mapping[str, Any]) -> None:
        """Draw a row of text: a heading in Markdown."""
        axes = self._axes(Box.of(widget))
        axes.set_axis_off()
        text = widget["properties"]["markdown"].lstrip("# ")
        axes.text(0.003, 0.4, text, fontsize=13, fontweight="bold", va="center")

    def alarms(self, widget: Mapping[str, Any], states: Sequence[tuple[str, str]]) -> None:
        """Draw alarms, each in the colour of its state."""
        box = Box.of(widget)
        self._frame(box, widget["properties"]["title"])
        axes = self._axes(box.inset(0.08, 0.32, 0.08, 0.06))
        axes.set_axis_off()
        axes.set(xlim=(0, ALARMS_IN_A_ROW), ylim=(math.ceil(len(states) / ALARMS_IN_A_ROW), 0))
        for number, (name, state) in enumerate(states):
            line, column = divmod(number, ALARMS_IN_A_ROW)
            corner = (column + 0.02, line + 0.12)
            shape = FancyBboxPatch(corner, 0.96, 0.76, boxstyle="round,pad=0,rounding_size=0.03")
            shape.set(facecolor=STATE_COLOURS[state], edgecolor="none")
            axes.add_patch(shape)
            text = f"{name}: {state.replace('_', ' ').lower()}"
            place = {"ha": "center", "va": "center", "fontsize": 7.5}
            axes.text(column + 0.5, line + 0.5, text, color="white", **place)

    def metrics(self, widget: Mapping[str, Any], series: Sequence[Series]) -> None:
        """Draw the series of a metric widget."""
        properties, box = widget["properties"], Box.of(widget)
        self._frame(box, properties["title"])
        plot = box.inset(0.56, 0.4, 0.3, 0.3 + _legend_height(len(series)))
        left = self._axes(plot)
        right = left.twinx() if any(one.is_right for one in series) else left
        if properties.get("stacked"):
            self._stack(left, series)
        else:
            self._lines(left, right, series)
        _annotate(left, properties.get("annotations", {}).get("horizontal", ()))
        for axes in {left, right}:
            self._scale(axes)
        left.grid(axis="y", color=FRAME, linewidth=0.6)
        self._legend(box, [left] if right is left else [left, right])

    def save(self, path: Path) -> None:
        """Write the page as a picture."""
        canvas = FigureCanvasAgg(self._figure)
        canvas.draw()
        size, pixels = canvas.get_width_height(), canvas.buffer_rgba()
        image = Image.frombuffer("RGBA", size, pixels).convert("RGB")
        image.quantize(COLOURS_IN_FILE, dither=Image.Dither.NONE).save(path, optimize=True)

    def _axes(self, box: Box) -> Axes:
        bottom = self._height - box.top - box.height
        return self._figure.add_axes(
            (
                box.left / WIDTH_INCHES,
                bottom / self._height,
                box.width / WIDTH_INCHES,
                box.height / self._height,
            )
        )

    def _frame(self, box: Box, title: str) -> None:
        axes = self._axes(box)
        axes.set(xticks=[], yticks=[], facecolor="white")
        place = {"transform": axes.transAxes, "va": "center", "fontsize": 10}
        axes.text(0.1 / box.width, 1 - 0.18 / box.height, title, fontweight="bold", **place)

    def _lines(self, left: Axes, right: Axes, series: Sequence[Series]) -> None:
        """Draw lines that break where data are missing, the first on top."""
        for number, one in enumerate(series):
            known = dict(one.points)
            values = [known.get(at, math.nan) for at in self._times]
            axes = right if one.is_right else left
            (line,) = axes.plot(self._times, values, marker="o", linewidth=1.4, zorder=9 - number)
            # A larger point shows behind an equal one.
            line.set(color=_colour(one, number), label=_label(one), markersize=6 if number else 4)

    def _stack(self, axes: Axes, series: Sequence[Series]) -> None:
        """Draw series on top of each other, what is missing as zero."""
        known = [dict(one.points) for one in series]
        values = [[points.get(at, 0.0) for at in self._times] for points in known]
        labels = [_label(one) for one in series]
        colours = [_colour(one, number) for number, one in enumerate(series)]
        axes.stackplot(self._times, values, labels=labels, colors=colours, step="post")

    def _scale(self, axes: Axes) -> None:
        margin = (self._times[-1] - self._times[0]) / 50
        axes.set(xlim=(self._times[0] - margin, self._times[-1] + margin))
        highest = axes.dataLim.y1 if math.isfinite(axes.dataLim.y1) else 0
        axes.set_ylim(-0.04 * max(highest, 1), 1.15 * max(highest, 1))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=7))
        axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
        axes.tick_params(length=0)
        axes.spines[["top", "left", "right"]].set_visible(False)

    def _legend(self, box: Box, plots: Sequence[Axes]) -> None:
        """Write the labels of the plots in two columns at the foot of their place."""
        named = [
            pair for axes in plots for pair in zip(*axes.get_legend_handles_labels(), strict=True)
        ]
        foot = box.inset(0.06, box.height - _legend_height(len(named)), 0.06, 0.04)
        for column in range(LEGEND_COLUMNS):
            handles = [handle for handle, _ in named[column::LEGEND_COLUMNS]]
            labels = [label for _, label in named[column::LEGEND_COLUMNS]]
            left = foot.left + foot.width * column / LEGEND_COLUMNS
            corner = (left / WIDTH_INCHES, 1 - foot.top / self._height)
            self._figure.legend(
                handles, labels, loc="upper left", bbox_to_anchor=corner, borderaxespad=0,
                frameon=False, handlelength=1.2, fontsize=8, labelspacing=0.4,
            )  # fmt: skip


def draw(title: str, readings: Sequence[Reading], span: Span, path: Path) -> None:
    """Write the dashboard as a picture."""
    with mpl.rc_context(STYLE):
        page = Page(title, [reading.widget for reading in readings], span)
        for reading in readings:
            if reading.widget["type"] == "text":
                page.text(reading.widget)
            elif reading.widget["type"] == "alarm":
                page.alarms(reading.widget, reading.states)
            else:
                page.metrics(reading.widget, reading.series)
        page.save(path)


def _annotate(axes: Axes, lines: Sequence[Mapping[str, Any]]) -> None:
    for line in lines:
        axes.axhline(line["value"], color=STATE_COLOURS["ALARM"], linewidth=1.2, linestyle="--")
        text = f"{line['label']} {line['value']:,}"
        where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(text, (1, line["value"]), xytext=(-3, 3), ha="right", **where)


def _legend_height(labels: int) -> float:
    return 0.06 + 0.19 * math.ceil(labels / LEGEND_COLUMNS)


def _colour(series: Series, number: int) -> str:
    return LINE_COLOURS[number] if series.points else FRAME


def _label(series: Series) -> str:
    return series.label if series.is_emulated else f"{series.label} (not emulated)"
