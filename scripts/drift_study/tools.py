"""What Evidently and Alibi Detect say, by their default settings, of the windows that Tidewatch has judged.

tools.py FOLDER [--quick]: reads FOLDER/streams, writes FOLDER/tools.json. A tool that has its results there is not asked again.
"""

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
# Repetitions of each scenario.
REPETITIONS = 20
# Windows before the change, of each size, from which the false alarms are counted.
UNCHANGED = {200: 200, 1000: 80}
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

    def kernel(features):
        # Its 100 permutations give p-values that are multiples of a hundredth.
        part = features(reference_texts[:KERNEL_REFERENCE], probabilities[reference[:KERNEL_REFERENCE]])
        return Alibi(MMDDrift(part, backend="tensorflow"), features, resolution=0.01)

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
        "alibi_mmd_outputs": lambda: kernel(outputs),
        "alibi_mmd_text": lambda: kernel(embedded),
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


def ask(tool, streams, unchanged, repetitions):
    """All that is asked of a tool."""
    result = {"strict": tool.strict, "unchanged": [], "scenarios": []}
    for size in SIZES:
        # As many from each repetition as are needed.
        wanted = unchanged[size] // repetitions
        answers = []
        for stream in streams["before"]:
            for window in list(windows(stream, size))[:wanted]:
                answers.append(tool.ask(*window))
        counts = [sum(answer[place] for answer in answers) for place in (0, 1)]
        result["unchanged"].append(
            {"size": size, "windows": len(answers), "alarms": counts[0], "strict_alarms": counts[1]}
        )
    for name in SCENARIOS:
        sizes = []
        for size in SIZES:
            delays = [delay(tool, stream, size) for stream in streams[name]]
            sizes.append({"size": size, "delays": [one for one, _ in delays], "strict_delays": [two for _, two in delays]})
        result["scenarios"].append({"name": name, "sizes": sizes})
    return result


def main():
    folder, quick = Path(sys.argv[1]), "--quick" in sys.argv[2:]
    repetitions, unchanged = (2, {200: 4, 1000: 2}) if quick else (REPETITIONS, UNCHANGED)
    path = folder / "tools.json"
    results = json.loads(path.read_text()) if path.exists() and not quick else {}
    (reference,) = load(folder / "streams" / "reference.jsonl")
    streams = {
        name: [stream for stream, _ in zip(load(folder / "streams" / f"{name}.jsonl"), range(repetitions))]
        for name in ["before", *SCENARIOS]
    }
    for name, make in tools(*reference).items():
        if name in results:
            continue
        started = time.monotonic()
        results[name] = ask(make(), streams, unchanged, repetitions)
        print(f"tools: {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        path.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
