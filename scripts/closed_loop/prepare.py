"""Makes the files of scripts/closed-loop-study out of the research data.

prepare.py DATA FOLDER

FOLDER/changed: the tweets of 2011 to 2014 to train on, and a stream of those of 2015 in their order of time and then those to
airlines in theirs.
FOLDER/unchanged: the tweets before October 2015, divided by chance into some to train on and a stream.

Each has train.jsonl, validation.jsonl (for the temperature and the baseline), held-out.jsonl (for the gate) and stream.jsonl, all
with labels.
"""

import csv
import hashlib
import html
import json
import random
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

SNOWFLAKE_EPOCH_MS = 1288834974657
LABELS = ("negative", "neutral", "positive")
# Where the parts end on a scale from 0 to 1, on which a hash of its id puts each tweet.
CHANGED = {"validation": 0.1, "held-out": 0.15, "train": 1.0}
UNCHANGED = {"validation": 0.1, "held-out": 0.15, "train": 0.65, "stream": 1.0}
# In the quarter after this the class shares of the tweets move.
QUIET_UNTIL = datetime(2015, 10, 1, tzinfo=timezone.utc)
SEED = 1
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def unescaped(text):
    """As published, the files hold \\u2019, \\u002c and &amp; literally."""
    text = ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return html.unescape(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def tweets(folder):
    """The SemEval tweets by time; those of one id with two labels are left out."""
    found, torn = {}, set()
    for file in sorted((folder / "semeval-tweets").glob("*.tsv")):
        for line in file.read_text(encoding="utf-8").splitlines():
            fields = line.rstrip("\t").split("\t")
            if len(fields) < 3 or fields[1] not in LABELS:
                continue
            id, label, text = int(fields[0]), fields[1], unescaped(fields[2])
            if found.setdefault(id, (label, text))[0] != label:
                torn.add(id)
    for id in sorted(found.keys() - torn):
        label, text = found[id]
        time = datetime.fromtimestamp(((id >> 22) + SNOWFLAKE_EPOCH_MS) / 1000, timezone.utc)
        yield time, {"id": str(id), "text": text, "label": label, "source": "twitter"}


def airline(folder):
    """The tweets to airlines by time."""
    with open(folder / "airline-tweets" / "tweets.csv", encoding="utf-8", newline="") as file:
        rows = {row["tweet_id"]: row for row in csv.DictReader(file)}
    written = lambda row: datetime.strptime(row["tweet_created"], "%Y-%m-%d %H:%M:%S %z")
    for row in sorted(rows.values(), key=lambda row: (written(row), row["tweet_id"])):
        yield {
            "id": row["tweet_id"],
            "text": html.unescape(row["text"]).strip(),
            "label": row["airline_sentiment"],
            "source": "twitter",
            "author": row["name"],
            "subject": row["airline"],
        }


def divided(rows, parts):
    """The rows of each part."""
    found = {name: [] for name in parts}
    for row in rows:
        digest = hashlib.sha256(row["id"].encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        found[next(name for name, end in parts.items() if place < end)].append(row)
    return found


def write(folder, parts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for row in rows:
                print(json.dumps(row, ensure_ascii=False), file=file)
        print(f"{folder.name}/{name}.jsonl: {len(rows)}", file=sys.stderr)


def main():
    data, folder = map(Path, sys.argv[1:])
    dated = list(tweets(data))
    parts = divided([row for time, row in dated if time.year < 2015], CHANGED)
    parts["stream"] = [row for time, row in dated if time.year == 2015] + list(airline(data))
    write(folder / "changed", parts)
    parts = divided([row for time, row in dated if time < QUIET_UNTIL], UNCHANGED)
    random.Random(SEED).shuffle(parts["stream"])
    write(folder / "unchanged", parts)


main()
