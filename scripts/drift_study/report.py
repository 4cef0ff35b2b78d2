"""The study's figures as tables (report.md) and as a picture (drift-power.svg).

report.py FOLDER: reads what the study and tools.py have left there. What is missing is left out.
"""

import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

TOOLS = {
    "tidewatch": "Tidewatch, baseline in its order of time",
    "tidewatch_shuffled": "Tidewatch, baseline shuffled",
    "alibi_ks_outputs": "Alibi Detect KSDrift, probabilities",
    "alibi_ks_outputs strict": "the same at p < 0.001",
    "alibi_chi_square_labels": "Alibi Detect ChiSquareDrift, labels",
    "alibi_chi_square_labels strict": "the same at p < 0.001",
    "alibi_mmd_outputs": "Alibi Detect MMDDrift, probabilities (10 repetitions)",
    "alibi_ks_text": "Alibi Detect KSDrift, TF-IDF vectors",
    "alibi_ks_text strict": "the same at p < 0.001",
    "evidently_predictions": "Evidently DataDriftPreset, label and probabilities",
    "evidently_text": "Evidently ValueDrift, text",
}
SCENARIOS = {
    "later": "tweets of later",
    "airline": "to airlines",
    "films": "film reviews",
    "labels": "labels only",
    "words": "words only",
    "gradual": "5 % mixed in",
}
NEVER = math.inf


def number(value):
    return f"{value:,.0f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def false_alarms(settings):
    rows = []
    for setting in settings:
        for size in setting["sizes"]:
            if not size["windows"]:
                continue
            low, high = (1000 * bound for bound in size["wilson"])
            least, most = (1000 * bound for bound in size["between_splits"])
            rows.append(
                [
                    f"{setting['name']}, baseline of {number(setting['baseline'])}",
                    number(size["size"]),
                    number(size["windows"]),
                    number(size["alarms"]),
                    f"{1000 * size['rate']:.2f}",
                    f"{low:.2f} to {high:.2f}",
                    f"{least:.2f} to {most:.2f}",
                    f"{size['splits_with_alarms']} of {size['splits']}",
                    f"{1000 * size['below_single']:.2f}",
                ]
            )
    head = ["texts", "messages", "windows", "alarms", "in 1,000", "95 % (Wilson)", "95 % (splits)"]
    return table(head + ["splits with alarms", "windows below 0.0005, in 1,000"], rows)


def answers(power, tools):
    """For each tool: false alarms and windows by size, delays by size and scenario."""
    found = {}

    def add(name, result, alarms, delays):
        found[name] = {
            **{
                kind: {one["size"]: (one[alarms], one["windows"]) for one in result[kind]}
                for kind in ("unchanged", "in_order")
            },
            "delays": {
                (size["size"], scenario["name"]): [NEVER if one is None else one for one in size[delays]]
                for scenario in result["scenarios"]
                for size in scenario["sizes"]
            },
        }

    for name, result in power["detectors"].items():
        add(name, result, "alarms", "delays")
    for name, result in tools.items():
        add(name, result, "alarms", "delays")
        if result["strict"]:
            add(f"{name} strict", result, "strict_alarms", "strict_delays")
    return {name: found[name] for name in TOOLS if name in found}


def quartiles(delays):
    """The smallest delays that a quarter, half and three quarters of the repetitions do not exceed."""
    ordered = sorted(delays)
    return [ordered[math.ceil(share * len(ordered)) - 1] for share in (0.25, 0.5, 0.75)]


def cell(delays):
    words = ["never" if one == NEVER else number(one) for one in quartiles(delays)]
    missed = sum(one == NEVER for one in delays)
    text = words[1] if words[0] == words[2] else f"{words[1]} ({words[0]} to {words[2]})"
    return text if missed in (0, len(delays)) else f"{text}; {missed} of {len(delays)} never"


def delays(found, size):
    rows = []
    for name, result in found.items():
        counts = [result[kind][size] for kind in ("unchanged", "in_order")]
        cells = [cell(result["delays"][size, scenario]) for scenario in SCENARIOS]
        rows.append([TOOLS[name], *(f"{number(alarms)} of {number(windows)}" for alarms, windows in counts), *cells])
    return table(["tool", "false alarms", "in real order", *SCENARIOS.values()], rows)


def class_shares(shift):
    methods = {
        "predicted": "counted predictions",
        "mean_probability": "mean probability",
        "em": "corrected (EM)",
        "uncalibrated_em": "corrected (EM), uncalibrated",
        "sharpened_em": "corrected (EM), too sure by a temperature of 1.3",
    }
    rows = []
    for result in shift["results"]:
        for name, words in methods.items():
            method = result["methods"][name]
            rows.append(
                [
                    number(result["size"]),
                    "up to 20 points" if result["distance"] == "near" else "more than 20 points",
                    words,
                    f"{method['mean_absolute_error_points']:.1f}",
                    f"{100 * method['coverage']:.0f} %" if name.endswith("em") else "",
                ]
            )
    return table(["messages", "moved by", "estimate", "mean error, points", "intervals that hold it"], rows)


def accuracy(found):
    rows = []
    named = [dict(one, name="like the baseline") for one in found["alike"]]
    for one in named + [dict(one, name=SCENARIOS[one["name"]]) for one in found["changed"]]:
        if one["windows"]:
            shares = [f"{100 * one[key]:.1f} %" for key in ("right", "estimated")]
            points = [f"{100 * one[key]:.1f}" for key in ("half_width", "mean_absolute_error")]
            held = f"{100 * one['coverage']:.1f} %"
            rows.append([one["name"], number(one["size"]), number(one["windows"]), *shares, *points, held])
    head = ["texts", "messages", "windows", "right", "estimated", "interval, ± points", "mean error, points"]
    return table([*head, "intervals that hold it"], rows)


def picture(found, size, path):
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tidewatch", "font.size": 8})
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), sharex=True, sharey=True)
    names = list(found)
    longest = 4000
    for axis, (scenario, title) in zip(axes.flat, SCENARIOS.items()):
        for place, name in enumerate(names):
            low, middle, high = (min(one, 2 * longest) for one in quartiles(found[name]["delays"][size, scenario]))
            colour = "tab:blue" if name.startswith("tidewatch") else "dimgrey"
            axis.plot([low, high], [place, place], color=colour, linewidth=2)
            mark = "o" if middle <= longest else ">"
            axis.plot([middle], [place], mark, color=colour, markersize=5)
        axis.axvline(1.4 * longest, color="lightgrey", linewidth=0.8)
        axis.set_title(title, fontsize=9)
        axis.set_xscale("log")
        axis.set_xticks([200, 400, 1000, 2000, 4000, 2 * longest], ["200", "400", "1,000", "2,000", "4,000", "never"])
        axis.minorticks_off()
        axis.grid(axis="x", color="whitesmoke")
    shares = [found[name]["unchanged"][size] for name in names]
    words = [f"{TOOLS[name]} ({100 * hits / windows:.0f} %)" for name, (hits, windows) in zip(names, shares)]
    axes[0, 0].set_yticks(range(len(names)), words)
    axes[0, 0].invert_yaxis()
    figure.supxlabel(
        f"messages of the changed feed until an alarm, windows of {number(size)}: median and quartiles "
        "(in brackets: alarms on unchanged windows)",
        fontsize=9,
    )
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    folder = Path(sys.argv[1])

    def read(name):
        path = folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    null, feed, shift, accurate, power = (read(name) for name in ("null", "feed", "shift", "accuracy", "power"))
    parts = []
    if null or feed:
        parts.append("## False alarms\n\n" + false_alarms((null or []) + (feed or [])))
    if power:
        found = answers(power["all"], read("tools") or {})
        of_late = answers(power["recent"], read("tools-recent") or {})
        for kind, those in (("four years", found), ("three months", of_late)):
            for size in (200, 1000):
                title = f"Messages until an alarm, baseline of {kind}, windows of {number(size)}"
                parts.append(f"## {title}\n\n" + delays(those, size))
        picture(found, 200, folder / "drift-power.svg")
    if shift:
        parts.append(f"## Class shares (temperature {shift['temperature']:.3f})\n\n" + class_shares(shift))
    if accurate:
        parts.append("## Accuracy\n\n" + accuracy(accurate))
    (folder / "report.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
