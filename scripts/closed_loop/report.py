"""The closed loop's study as tables (report.md) and as a picture (closed-loop.svg).

report.py FOLDER: reads what stream.py and `tidewatch score` have left there. What is missing is left out.
"""

import bisect
import json
import sys
from datetime import datetime
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

LABELS = ("negative", "neutral", "positive")
# Messages of a point of the curve, and from one point to the next.
WINDOW, STEP = 1500, 250
# What a model reaches that was trained for two epochs on half of the airline tweets' labels (PyTorch, same backbone).
REACHED = {"accuracy": 0.840, "macro recall": 0.784}


def accuracy(pairs):
    return sum(truth == answer for truth, answer in pairs) / len(pairs)


def macro_recall(pairs):
    """The mean of the recalls of the classes that occur."""
    recalls = []
    for label in LABELS:
        answers = [answer for truth, answer in pairs if truth == label]
        if answers:
            recalls.append(sum(answer == label for answer in answers) / len(answers))
    return sum(recalls) / len(recalls)


MEASURES = {"accuracy": accuracy, "macro recall": macro_recall}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def percent(value):
    return f"{100 * value:.1f}"


class Run:
    """What a stream was answered, and what happened along it."""

    def __init__(self, path):
        found = json.loads(path.read_text())
        self.__dict__.update(found)
        answers = {answer["id"]: answer for answer in self.answers}
        self.pairs = [(row["label"], answers[row["id"]]["label"]) for row in self.rows if row["id"] in answers]
        if len(self.pairs) != len(self.rows):
            sys.exit(f"{path}: {len(self.rows)} messages were sent and {len(self.pairs)} answered")
        self.change = next((number for number, row in enumerate(self.rows) if row["subject"]), len(self.rows))
        self.sent = [row["sent"] for row in self.rows]

    def place(self, moment):
        """The number of the message that was sent then."""
        return bisect.bisect(self.sent, datetime.fromisoformat(moment).timestamp())

    def alarms(self):
        return [(self.place(report["reported_at"]), report["report"]) for report in self.reports if report["change"] == "opened"]

    def promotions(self):
        return [
            (self.place(step["at"]), step)
            for step in self.deployments
            if step["alias"] == "champion" and step["before"] and step["model"] != step["before"]
        ]

    def curve(self, measure):
        ends = range(WINDOW, len(self.pairs) + 1, STEP)
        return list(ends), [measure(self.pairs[end - WINDOW : end]) for end in ends]


def events(run):
    """What happened, in its order."""
    found = []
    for number, report in run.alarms():
        found.append((number, f"alarm of {report.get('statistic', 'drift')}"))
    for training in run.trainings:
        found.append((run.place(training["started"]), f"training {training['id']} begins, for: {training['cause']}"))
        if training["gated_at"]:
            found.append((run.place(training["gated_at"]), f"gate: {training['verdict']}"))
    for step in run.steps:
        share = f" {100 * step['share']:.0f} %" if step["share"] else ""
        found.append((run.place(step["at"]), f"rollout {step['rollout']}: {step['step']}, {step['stage']}{share}"))
    for number, step in run.promotions():
        found.append((number, f"{step['what']}: {step['model'][:12]} for {step['before'][:12]}"))
    return sorted(found, key=lambda event: event[0])


def parts(run):
    """Stretches of the stream, which end where another model takes over."""
    begin, found = run.change, {"2015": (0, run.change)}
    for count, (number, _) in enumerate(run.promotions(), start=1):
        if number > run.change:
            found[f"to airlines, until promotion {count}"] = (begin, number)
            begin = number
    found["to airlines, then"] = (begin, len(run.rows))
    found["to airlines, all"] = (run.change, len(run.rows))
    return found


def streams(on, off):
    rows = []
    for name, (begin, end) in parts(on).items():
        if end == begin:
            continue
        cells = [f"{measure(run.pairs[begin:end]):.3f}" for measure in MEASURES.values() for run in (off, on)]
        rows.append([name, f"{end - begin:,}", *cells])
    head = ["messages", "", *(f"{name}, {loop}" for name in MEASURES for loop in ("off", "on"))]
    return table(head, rows)


def scored(path):
    """What a model says of each text, by its id."""
    return {line["id"]: line["label"] for line in map(json.loads, path.open(encoding="utf-8"))}


def models(run, first, last):
    """What the first and the last model say of what neither was trained on: the messages without labels."""
    rows = []
    whole = len(run.rows)
    stretches = [("2015", 0, run.change), ("to airlines", run.change, whole)] if run.change < whole else [("the same kind", 0, whole)]
    for name, begin, end in stretches:
        some = [row for row in run.rows[begin:end] if not row["labelled"]]
        for measure, of in MEASURES.items():
            before, after = (of([(row["label"], said[row["id"]]) for row in some]) for said in (first, last))
            cells = [name, f"{len(some):,}", measure, percent(before), percent(after), f"{100 * (after - before):+.1f}"]
            if name == "to airlines":
                cells.append(f"{100 * (after - before) / (REACHED[measure] - before):.0f} % of {100 * (REACHED[measure] - before):.1f} points")
            rows.append([*cells, ""][:7])
    return table(["tweets without labels", "", "%", "first model", "last model", "points", "recovered"], rows)


def picture(on, off, path):
    figure, axes = plt.subplots(2, 1, figsize=(9, 6), sharex=True, layout="constrained")
    for axis, (name, measure) in zip(axes, MEASURES.items()):
        for run, words, colour in ((off, "loop off", "#888888"), (on, "loop on", "#0b6e99")):
            axis.plot(*run.curve(measure), label=words, color=colour)
        axis.axvline(on.change, color="black", linewidth=0.8, linestyle=":")
        axis.set_ylabel(f"{name}, {WINDOW:,} messages")
        axis.grid(alpha=0.3)
    marks = {
        "alarm": ([number for number, _ in on.alarms()], "#c0392b", "--"),
        "training begins": ([on.place(training["started"]) for training in on.trainings], "#e67e22", "-."),
        "promotion": ([number for number, _ in on.promotions()], "#27ae60", "-"),
    }
    for words, (places, colour, style) in marks.items():
        for axis in axes:
            for number, place in enumerate(places):
                axis.axvline(place, color=colour, linestyle=style, linewidth=0.9, label=None if number else words)
    axes[0].legend(loc="upper center", fontsize=8, ncols=2)
    axes[0].set_title(f"tweets of 2015, and from message {on.change:,} on those to airlines")
    axes[1].set_xlabel("messages")
    figure.savefig(path)


def happened(run):
    return table(["message", "what"], [[f"{number:,}", words] for number, words in events(run)])


def compared(folder, name, run):
    """The first and the last model beside each other, where they are two."""
    first, last = (folder / f"{name}-{which}.jsonl" for which in ("first", "last"))
    return ["## The models", models(run, scored(first), scored(last))] if first.exists() and run.promotions() else []


def quiet(run):
    """What happened where nothing changes."""
    labelled = sum(row["labelled"] for row in run.rows)
    counts = (run.alarms(), run.trainings, run.promotions())
    line = [f"{len(run.rows):,}", f"{labelled:,}", str(run.windows), *(str(len(of)) for of in counts)]
    line += [percent(measure(run.pairs)) for measure in MEASURES.values()]
    head = ["messages", "labels", "windows", "alarms", "trainings", "promotions", *MEASURES]
    return ["## Where nothing changes", table(head, [line]), happened(run)]


def main():
    folder = Path(sys.argv[1])
    said = []
    on, off = (folder / f"{name}.json" for name in ("on", "off"))
    if on.exists() and off.exists():
        on, off = Run(on), Run(off)
        said += ["## The stream", streams(on, off), "## What happened", happened(on)]
        said += compared(folder, "on", on)
        picture(on, off, folder / "closed-loop.svg")
    for name in ("unchanged", "unchanged-labelled"):
        path = folder / f"{name}.json"
        if path.exists():
            said += quiet(Run(path)) + compared(folder, name, Run(path))
    (folder / "report.md").write_text("\n".join(said))
    print("\n".join(said))


main()
