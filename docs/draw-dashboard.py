#!/usr/bin/env python3
"""Draws docs/dashboard.svg: the dashboard of template.yaml, with sample metrics in place of CloudWatch's.

The widgets are read out of the template; the metrics are made here, the same in each run: a day on which ACS is out of
order for half an hour. Needs Python 3.9 or later and nothing else.

Usage: docs/draw-dashboard.py [--check]

--check writes nothing and fails where the picture is not that of the template.
"""

import json
import random
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE.parent / "template.yaml"
PICTURE = HERE / "dashboard.svg"

COLUMN, ROW, GAP = 50, 44, 4  # pixels of a unit of the dashboard's grid, and between widgets
HOURS, FIRST_HOUR = 12, 6
LETTER = 5.9  # pixels of a letter, on average
COLOURS = [
    "#2f7ed8", "#e07b26", "#2ca05a", "#d13212", "#8a63d2",
    "#9a6a4f", "#d868a6", "#7d8894", "#a9a225", "#1aa6b7",
]  # fmt: skip

# Of each metric: what it is on a quiet hour, what the day's work adds to it at its height, what the outage adds, and how
# much of it is chance.
SAMPLES = {
    "RecordingsArchived": (3, 44, -20, 0.25),
    "RecordingsAlreadyArchived": (0, 2, 4, 0.5),
    "RecordingsSuspended": (0, 1, 26, 0.3),
    "RecordingsRejected": (0, 0, 1.2, 0),
    "RecordingsExpired": (0, 0, 0, 0),
    "RecordingsInCustomerStorage": (0, 0, 0, 0),
    "ChunksArchived": (4, 60, -28, 0.25),
    "ChunksAlreadyArchived": (0, 4, 8, 0.5),
    "ChunksSuspended": (0, 1, 36, 0.3),
    "ChunksRejected": (0, 0, 1.2, 0),
    "ChunksExpired": (0, 0, 0, 0),
    "MediaDoubtful": (0, 0, 0, 0),
    "EventsSetAside": (0, 0, 0, 0),
    "EventsUnstored": (0, 0, 0, 0),
    "Panics": (0, 0, 0, 0),
    "DeliveriesRefused": (0, 0, 0, 0),
    "DeliveriesUnverified": (0, 0, 2, 0.5),
    "SecretsUnreadable": (0, 0, 0, 0),
    "TokensUnavailable": (0, 0, 0, 0),
    "BytesArchived": (0.9e9, 21e9, -8e9, 0.2),
    "BytesFetched": (0.9e9, 21e9, -7e9, 0.2),
    "BytesReused": (0, 0.2e9, 6e9, 0.3),
    "RecordingDuration": (2600, 7000, 16000, 0.3),
    "Throughput": (58, -6, -34, 0.15),
    "ArchiveLag": (9, 30, 1500, 0.3),
    "PendingRecordings": (1, 2, 30, 0.4),
    "RecordingsInTrouble": (0, 0, 4, 0.4),
    "UnfinishedUploads": (0, 0, 0, 0),
    "HoursUntilSourceExpires": (23.9, -0.1, -1.1, 0.003),
    "Ticks": (5, 0, 0, 0),
    "ConcurrentExecutions": (1, 6, 8, 0.2),
    "ConcurrentExecutions ${Sweeper}": (1, 1, 13, 0.2),
    "Errors": (0, 0, 0, 0),
    "Throttles": (0, 0, 0, 0),
    "Url5xxCount": (0, 0, 3, 0.3),
}
CAUSES = {"acsFailed": 60, "acsThrottled": 25, "acsStalled": 14, "acsNotReady": 3, "acsBroken": 6, "s3Throttled": 1}
STATISTICS = {"p10": 0.55, "p50": 1, "p90": 1.9, "Maximum": 2.6}
SPREAD = ("RecordingDuration", "Throughput", "ArchiveLag")  # those of which percentiles are shown
IN_ALARM = "recording-rejected"
LOG = [
    ["15:41:07.118", "ERROR", "451ca273-6493-444b-a8d6-e9581a92059f", "", "recording cannot be archived whole", ""],
    ["15:41:06.902", "ERROR", "451ca273-6493-444b-a8d6-e9581a92059f", "1", "media cannot be archived", "fetching from ACS failed: ACS answered 404 Not Found"],
    ["14:22:31.450", "WARN", "9d0c6a52-1f0e-4f3b-8f57-3b6e3a1f8a11", "0", "media is not archived yet", "fetching from ACS failed: ACS answered 503 Service Unavailable"],
    ["14:22:29.207", "WARN", "9d0c6a52-1f0e-4f3b-8f57-3b6e3a1f8a11", "0", "media is not archived yet", "fetching from ACS failed: source sent no byte for 15 s"],
    ["14:21:58.644", "WARN", "0b7f4c1e-52d3-4f0b-9a3e-6f2f0c9f7d20", "1", "media is not archived yet", "fetching from ACS failed: ACS answered 429 Too Many Requests"],
]  # fmt: skip

STYLE = """
text { font-family: "Helvetica Neue", Helvetica, Arial, sans-serif; font-size: 11px; fill: #414d5c }
.title { font-size: 13px; font-weight: bold; fill: #16191f }
.big { font-size: 26px; fill: #16191f }
.state { font-weight: bold; fill: #ffffff }
.page { fill: #f2f3f3 }
.card { fill: #ffffff; stroke: #d5dbdb }
.grid { stroke: #e4e8ea; fill: none }
.limit { stroke: #d13212; stroke-dasharray: 5 4; fill: none }
.line { fill: none; stroke-width: 1.6 }
@media (prefers-color-scheme: dark) {
  text { fill: #b6bec9 }
  .title, .big { fill: #f2f3f3 }
  .page { fill: #0f1b2a }
  .card { fill: #192534; stroke: #354150 }
  .grid { stroke: #2a3644 }
  .limit { stroke: #ff7a66 }
}
"""


class Undrawable(Exception):
    """The template has something that is not known here."""


def dashboard():
    """The dashboard's body, out of the template."""
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip() == "DashboardBody: !Sub |"), None)
    if start is None:
        raise Undrawable(f"{TEMPLATE.name} has no line \"DashboardBody: !Sub |\"")
    indent = len(lines[start + 1]) - len(lines[start + 1].lstrip())
    body = []
    for line in lines[start + 1 :]:
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        body.append(line)
    try:
        return json.loads("\n".join(body))
    except json.JSONDecodeError as error:
        line = start + 1 + error.lineno
        raise Undrawable(f"{TEMPLATE.name}:{line}: the dashboard is not JSON: {error.msg}") from error


def alarm_names():
    """The names of the alarms by their resources, without the stack's."""
    text = TEMPLATE.read_text(encoding="utf-8")
    found = re.findall(r"\n  (\w+):\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      AlarmName: .*?}-(\S+)", text)
    return dict(found)


def bump(hour, at, width):
    """1 at one hour, less the further away. Of plain arithmetic, which is the same on every machine."""
    distance = (hour - at) / width
    return 1 / (1 + distance * distance * distance * distance)


def sample_name(metric):
    """The name that the samples of a widget's metric are under: its own, or that with its function."""
    of_function = f"{metric[1]} {metric[3]}"
    return of_function if of_function in SAMPLES else metric[1]


def sample(name, cause, statistic, period):
    """The values of a metric over the day, as (hour, value)."""
    chance = random.Random(f"{name} {cause}")
    if not cause and name not in SAMPLES:
        raise Undrawable(f"the metric {name} of the dashboard has no sample; give it one in SAMPLES of {HERE.name}/{Path(__file__).name}")
    quiet, work, outage, noise = (0, 0, CAUSES.get(cause, 0), 0.4) if cause else SAMPLES[name]
    step = max(period, 300) / 3600
    values = []
    for number in range(int(HOURS / step)):
        hour = (number + 0.5) * step
        busy, out = bump(hour, 5.5, 3.2), bump(hour, 8.5, 0.45 if step < 1 else 0.8)
        value = quiet + work * busy + outage * out
        value *= 1 + noise * (2 * chance.random() - 1)
        if statistic == "Sum" and name not in ("Ticks",) and step < 1 and not cause:
            value *= step * 4
        if name in SPREAD:
            factor = STATISTICS.get(statistic, 1)
            value *= 2 - factor if name == "Throughput" and factor > 1 else factor
        if name == "HoursUntilSourceExpires":
            value = min(value, 23.98)
        counts = not (name in SPREAD or name.startswith("Bytes") or name == "HoursUntilSourceExpires")
        value = max(value, 0)
        values.append((hour, float(int(value + 0.5)) if counts else value))
    return values


def short(value):
    """A number as an axis has it."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def nice(most):
    """The end of an axis of four steps that holds the most."""
    unit = 1.0
    while unit * 10 < most:
        unit *= 10
    while unit > most > 0:
        unit /= 10
    for factor in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10):
        if unit * factor >= most:
            return max(unit * factor, 4 if most <= 4 else 0)
    return most


def free_place(label, level, left, right, edges):
    """The end of a limit's label above or below its line, as far to the right as no curve goes through it."""
    width = 1.25 * LETTER * len(label)  # for the widest of the fonts
    end = right - 4
    while end - width > left:
        for base in (level - 5, level + 13):
            box = (end - width - 4, base - 11, end + 4, base + 4)
            if not any(crosses(one, other, box) for edge in edges for one, other in zip(edge, edge[1:])):
                return end, base
        end -= 4
    return right - 4, level - 5


def crosses(one, other, box):
    """Whether a line between two points, from left to right, goes through a box."""
    left, top, right, bottom = box
    (x1, y1), (x2, y2) = one, other
    if x2 < left or x1 > right or x2 <= x1:
        return False
    slope = (y2 - y1) / (x2 - x1)
    ends = [y1 + slope * (min(max(x, x1), x2) - x1) for x in (left, right)]
    return min(ends) <= bottom and max(ends) >= top


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Picture:
    def __init__(self):
        self.parts = []

    def text(self, x, y, text, kind="", anchor="start"):
        names = f' class="{kind}"' if kind else ""
        ends = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{names}{ends}>{escape(text)}</text>')

    def box(self, x, y, width, height, kind="", fill="", radius=2):
        look = f'class="{kind}"' if kind else f'fill="{fill}"'
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}" {look}/>')

    def path(self, points, kind, colour="", fill=False):
        shape = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if fill:
            look = f'fill="{colour}" fill-opacity="0.75"'
            shape += "Z"
        else:
            look = f'class="{kind}"' + (f' stroke="{colour}"' if colour else "")
        self.parts.append(f'<path d="{shape}" {look}/>')

    def widget(self, widget):
        x, y = widget["x"] * COLUMN + GAP, widget["y"] * ROW + GAP
        width, height = widget["width"] * COLUMN - 2 * GAP, widget["height"] * ROW - 2 * GAP
        properties = widget["properties"]
        self.box(x, y, width, height, "card")
        self.text(x + 12, y + 20, properties["title"], "title")
        if widget["type"] == "alarm":
            self.alarms(properties, x, y, width)
        elif widget["type"] == "log":
            self.log(properties, x, y, width)
        elif properties.get("view") == "singleValue":
            self.numbers(properties, x, y, width)
        else:
            self.graph(properties, x, y, width, height)

    def alarms(self, properties, x, y, width):
        names = alarm_names()
        columns = 8
        cell = (width - 24) / columns
        for number, alarm in enumerate(properties["alarms"]):
            resource = alarm[2:].split(".")[0]
            if resource not in names:
                raise Undrawable(f"the alarm {resource} of the dashboard is none of {TEMPLATE.name}, or has no name there")
            name = names[resource]
            left, top = x + 12 + number % columns * cell, y + 34 + number // columns * 40
            raised = name == IN_ALARM
            self.box(left, top, cell - 8, 32, fill="#d13212" if raised else "#1d8102")
            self.text(left + 8, top + 13, name, "state")
            self.text(left + 8, top + 26, "In alarm" if raised else "OK", "state")

    def numbers(self, properties, x, y, width):
        cell = (width - 24) / len(properties["metrics"])
        for number, metric in enumerate(properties["metrics"]):
            label, statistic = metric[-1]["label"], metric[-1].get("stat", properties["stat"])
            period = metric[-1].get("period", properties["period"])
            values = [value for _, value in sample(metric[1], "", statistic, min(period, 3600))]
            value = sum(values[:-1]) if period > 3600 else values[-1]
            left = x + 12 + number * cell
            self.box(left, y + 39, 8, 8, fill=COLOURS[number])
            self.text(left + 14, y + 47, label)
            self.text(left, y + 82, short(value), "big")

    def log(self, properties, x, y, width):
        columns = re.search(r"fields ([^|]*)", properties["query"]).group(1).split(",")
        places = [0, 130, 200, 470, 530, 790]
        for number, column in enumerate(columns):
            self.text(x + 12 + places[number], y + 44, column.strip(), "title")
        for row, values in enumerate(LOG):
            top = y + 54 + row * 34
            self.path([(x + 12, top), (x + width - 12, top)], "grid")
            for number, value in enumerate(values):
                self.text(x + 12 + places[number], top + 21, value)

    def legend(self, labels, x, y, width):
        """The rows of the legend from the bottom up, and the height it takes."""
        rows, used = [[]], 0.0
        for number, label in enumerate(labels):
            needed = 24 + LETTER * len(label)
            if used + needed > width and rows[-1]:
                rows.append([])
                used = 0
            rows[-1].append((used, number, label))
            used += needed
        for index, row in enumerate(rows):
            base = y - (len(rows) - 1 - index) * 15
            for left, number, label in row:
                self.box(x + left, base - 8, 8, 8, fill=COLOURS[number % len(COLOURS)])
                self.text(x + left + 12, base, label)
        return 15 * len(rows)

    def graph(self, properties, x, y, width, height):
        series = []
        for number, metric in enumerate(properties["metrics"]):
            look = metric[-1]
            cause = metric[5] if len(metric) > 5 else ""
            values = sample(sample_name(metric), cause, look.get("stat", properties["stat"]), properties["period"])
            series.append((look["label"], look.get("yAxis", "left"), values, COLOURS[number % len(COLOURS)]))
        below = self.legend([label for label, *_ in series], x + 12, y + height - 10, width - 24)

        right = any(axis == "right" for _, axis, *_ in series)
        left_edge, right_edge = x + 52, x + width - (44 if right else 14)
        top, bottom = y + 36, y + height - 10 - below - 20
        stacked = properties.get("stacked", False)
        limits = properties.get("annotations", {}).get("horizontal", [])

        def most(side):
            own = [[value for _, value in values] for _, axis, values, _ in series if axis == side]
            highest = [max(column) for column in zip(*own)] if own else [0]
            if stacked and own:
                highest = [sum(column) for column in zip(*own)]
            marks = [limit["value"] for limit in limits if limit.get("yAxis", "left") == side]
            fixed = properties.get("yAxis", {}).get(side, {}).get("max")
            return fixed or nice(max(highest + [mark * 1.1 for mark in marks]))

        ends = {side: most(side) for side in ("left", "right")}

        def place(hour, value, side="left"):
            share = min(value / ends[side], 1)
            return left_edge + hour / HOURS * (right_edge - left_edge), bottom - share * (bottom - top)

        for step in range(5):
            level = bottom - step / 4 * (bottom - top)
            self.path([(left_edge, level), (right_edge, level)], "grid")
            self.text(left_edge - 6, level + 4, short(ends["left"] * step / 4), anchor="end")
            if right:
                self.text(right_edge + 6, level + 4, short(ends["right"] * step / 4))
        every = 2 if width > 450 else 3
        for hour in range(0, HOURS + 1, every):
            at = place(hour, 0)[0]
            self.text(at, bottom + 15, f"{FIRST_HOUR + hour:02}:00", anchor="end" if hour == HOURS else "middle")

        base = [0.0] * len(series[0][2])
        edges = []
        for label, axis, values, colour in series:
            if stacked:
                upper = [low + value for low, (_, value) in zip(base, values)]
                hours = [hour for hour, _ in values]
                edge = [place(*point) for point in zip(hours, upper)]
                floor = [place(*point) for point in zip(hours, base)]
                if upper != base:
                    self.path(edge + floor[::-1], "", colour, fill=True)
                base = upper
            else:
                edge = [place(hour, value, axis) for hour, value in values]
                self.path(edge, "line", colour)
            edges.append(edge)
        for limit in limits:
            side = limit.get("yAxis", "left")
            level = place(0, limit["value"], side)[1]
            self.path([(left_edge, level), (right_edge, level)], "limit")
            label = f"{limit['label']} {short(limit['value'])}"
            self.text(*free_place(label, level, left_edge, right_edge, edges), label, anchor="end")

    def svg(self, rows):
        width, height = 24 * COLUMN, rows * ROW + 30
        caption = "Sample metrics, drawn from the widgets in template.yaml by docs/draw-dashboard.py"
        self.text(12, height - 12, caption)
        label = "The CloudWatch dashboard of acs-recording-archiver with sample metrics"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">\n'
            f"<style>{STYLE}</style>\n"
            f'<rect class="page" width="{width}" height="{height}"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


def draw():
    widgets = dashboard()["widgets"]
    picture = Picture()
    for widget in widgets:
        picture.widget(widget)
    return picture.svg(max(widget["y"] + widget["height"] for widget in widgets))


def main(options):
    if options not in ([], ["--check"]):
        print(__doc__)
        return 0 if options in (["--help"], ["-h"]) else 2
    try:
        drawn = draw()
    except Undrawable as error:
        print(f"docs/dashboard.svg cannot be drawn: {error}", file=sys.stderr)
        return 1
    if not options:
        PICTURE.write_text(drawn, encoding="utf-8")
        print(f"{PICTURE.name}: {len(drawn)} bytes")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != drawn:
        print("docs/dashboard.svg is not of this template; run docs/draw-dashboard.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
