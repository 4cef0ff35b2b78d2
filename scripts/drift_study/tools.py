"""What Evidently and Alibi Detect say, by their default settings, of the windows that Tidewatch has judged.

tools.py FOLDER [--quick]: reads FOLDER/streams and FOLDER/streams-recent, writes FOLDER/tools.json and FOLDER/tools-recent.json.
A tool that has its results of the same streams there is not asked again.
"""

import hashlib
import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import numpy as np
import pandas as pd
from alibi_detect.cd import ChiSquareDrift, KSDrift, MMDDrift
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

SCENARIOS = ["later", "airline", "films", "labels", "words", "gradual"]
SIZES = [200, 1000]
# Repetitions of each scenario that a tool is asked about: Tidewatch's own, and half of them where it takes long.
REPETITIONS, FEWER = 20, 10
# Windows before the change, of each repetition and size, from which the false alarms are counted.
UNCHANGED = {200: 10, 1000: 4}
# A permutation test for each window takes a second or more, so one of the two sets of streams has to do.
SLOWEST = "alibi_mmd_outputs"
# A kernel's matrix has a side as long as reference and window together, so its reference is a part, as is usual.
KERNEL_REFERENCE = 1000
DIMENSIONS = 32
LABELS = ["negative", "neutral", "positive"]
# The p-value that is as rare as Tidewatch's false alarms.
STRICT = 0.001


class Alibi:
    """One of Alibi Detect's tests; windows are matrices of features."""

    def __init__(self, detector, features, resolution=0.0):
        self.detector, self.features = detector, features
        # A permutation test knows no smaller p-value than this, so it cannot be held to a stricter one.
        self.strict = resolution <= STRICT

    def ask(self, texts, probabilities):
        data = self.detector.predict(self.features(texts, probabilities))["data"]
        p = np.min(data["p_val"])
        # Bonferroni's correction, where there are several features: the threshold is that of each.
        tests = np.size(data["p_val"])
        return bool(data["is_drift"]), bool(self.strict and p * tests < STRICT)


class Evidently:
    """A report with its default tests; drift is where the first of them fails."""

    strict = False

    def __init__(self, metric, frame, definition, reference):
        self.report, self.frame, self.definition = Report([metric], include_tests=True), frame, definition
        self.reference = Dataset.from_pandas(frame(*reference), data_definition=definition)

    def ask(self, texts, probabilities):
        current = Dataset.from_pandas(self.frame(texts, probabilities), data_definition=self.definition)
        tests = self.report.run(current, self.reference).dict()["tests"]
        return tests[0]["status"] == "FAIL", False


def outputs(_, probabilities):
    return probabilities


def labels(_, probabilities):
    return probabilities.argmax(axis=1).reshape(-1, 1)


def predictions(_, probabilities):
    frame = pd.DataFrame(probabilities, columns=LABELS)
    frame["label"] = [LABELS[place] for place in probabilities.argmax(axis=1)]
    return frame


def text_column(texts, _):
    return pd.DataFrame({"text": texts})


def tools(texts, probabilities):
    """The tools by their names, made when they are asked for."""
    order = np.random.default_rng(1).permutation(len(texts))
    # Vectors fit the texts that they were made from better than others, so those are none of the reference.
    made_from, reference = np.array_split(order, 2)
    vectors = make_pipeline(TfidfVectorizer(), TruncatedSVD(DIMENSIONS, random_state=1))
    vectors.fit([texts[place] for place in made_from])
    reference_texts = [texts[place] for place in reference]

    def embedded(texts, _):
        return vectors.transform(texts).astype(np.float32)

    def kernel():
        part = reference[:KERNEL_REFERENCE]
        # Its 100 permutations give p-values that are multiples of a hundredth.
        return Alibi(MMDDrift(probabilities[part], backend="tensorflow"), outputs, resolution=0.01)

    def report(metric, frame, **columns):
        return Evidently(metric, frame, DataDefinition(**columns), (texts, probabilities))

    return {
        "alibi_ks_outputs": lambda: Alibi(KSDrift(probabilities), outputs),
        "alibi_chi_square_labels": lambda: Alibi(ChiSquareDrift(labels(None, probabilities)), labels),
        "alibi_ks_text": lambda: Alibi(KSDrift(embedded(reference_texts, None)), embedded),
        "evidently_predictions": lambda: report(
            DataDriftPreset(), predictions, numerical_columns=LABELS, categorical_columns=["label"]
        ),
        "evidently_text": lambda: report(ValueDrift(column="text"), text_column, text_columns=["text"]),
        "alibi_mmd_outputs": kernel,
    }


def load(path):
    """Streams as pairs of texts and probabilities."""
    for line in path.open():
        rows = json.loads(line)
        yield [text for text, _ in rows], np.array([row for _, row in rows], dtype=np.float32)


def windows(stream, size):
    texts, probabilities = stream
    for start in range(0, len(texts) - size + 1, size):
        yield texts[start : start + size], probabilities[start : start + size]


def delay(tool, stream, size):
    """Messages until the first window that alarms, by the defaults and by the strict level; none where none does."""
    found = [None, None]
    for number, window in enumerate(windows(stream, size), 1):
        for place, alarm in enumerate(tool.ask(*window)):
            if alarm and found[place] is None:
                found[place] = number * size
        if found[0] is not None and (found[1] is not None or not tool.strict):
            break
    return found


def false_alarms(tool, streams, most):
    """Alarms of each size in the first windows of unchanged streams."""
    found = []
    for size in SIZES:
        asked = [window for stream in streams for window in list(windows(stream, size))[: most[size]]]
        answers = [tool.ask(*window) for window in asked]
        counts = [sum(answer[place] for answer in answers) for place in (0, 1)]
        found.append({"size": size, "windows": len(answers), "alarms": counts[0], "strict_alarms": counts[1]})
    return found


def ask(tool, streams):
    """All that is asked of a tool."""
    result = {
        "strict": tool.strict,
        "unchanged": false_alarms(tool, streams["before"], UNCHANGED),
        "in_order": false_alarms(tool, streams["in-order"], dict.fromkeys(SIZES)),
        "scenarios": [],
    }
    for name in SCENARIOS:
        sizes = []
        for size in SIZES:
            delays = [delay(tool, stream, size) for stream in streams[name]]
            sizes.append({"size": size, "delays": [one for one, _ in delays], "strict_delays": [two for _, two in delays]})
        result["scenarios"].append({"name": name, "sizes": sizes})
    return result


def digest(folder):
    """Says which streams they are."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.jsonl")):
        found.update(path.read_bytes())
    return found.hexdigest()


def ask_all(folder, path, repetitions):
    """Asks the tools named, of so many repetitions each, about a folder of streams."""
    known = json.loads(path.read_text()) if path.exists() else {}
    which = digest(folder)
    results = {name: result for name, result in known.items() if result["streams"] == which}
    (reference,) = load(folder / "reference.jsonl")
    names = ["in-order", "before", *SCENARIOS]
    all_streams = {name: list(load(folder / f"{name}.jsonl")) for name in names}
    made = tools(*reference)
    for name, count in repetitions.items():
        if name in results and results[name]["repetitions"] == count:
            continue
        started = time.monotonic()
        streams = {kind: all_streams[kind][:count] for kind in names}
        results[name] = {"streams": which, "repetitions": count, **ask(made[name](), streams)}
        print(f"tools: {folder.name}: {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        path.write_text(json.dumps(results, indent=1))


def main():
    folder, quick = Path(sys.argv[1]), "--quick" in sys.argv[2:]
    many, fewer = (2, 1) if quick else (REPETITIONS, FEWER)
    fast = ["alibi_ks_outputs", "alibi_chi_square_labels", "alibi_ks_text"]
    slow = ["evidently_predictions", "evidently_text"]
    main_set = {**dict.fromkeys(fast + slow, many), SLOWEST: fewer}
    recent = {**dict.fromkeys(fast, many), **dict.fromkeys(slow, fewer)}
    ask_all(folder / "streams", folder / "tools.json", main_set)
    ask_all(folder / "streams-recent", folder / "tools-recent.json", recent)


if __name__ == "__main__":
    main()
