"""Sends a stream of labelled texts through the service, gives it labels late, and writes down what it answered and did.

stream.py TIDEWATCH SETTINGS FOLDER OUT.json --work DIR [--more SETTINGS] [--loop] [--rates N:PER_SECOND,…] [--labels SHARE] [--limit N]

FOLDER holds stream.jsonl and the first model. The stream is a month: its messages, as far from each other, have the times of the last
thirty days. Labels of some of them, chosen by chance, come two to six hours later by that clock. KAFKA_BOOTSTRAP and DATABASE_URL name
servers of this run's own.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

MONTH = timedelta(days=30)
# How long what is under way at the end of the stream may take, and the service to stop.
DRAIN_SECONDS, STOP_SECONDS = 1800, 120
# Hours from a message to its label.
LATE = (2, 6)
# Another one than prepare.py's, so that the choice of labels has nothing to do with the order of the stream.
SEED = 2
LOOK_EVERY = 5


class Service:
    """Tidewatch with its settings: the commands, and the process that runs."""

    def __init__(self, program, config):
        self.program, self.config, self.process = program, config, None

    def do(self, *words):
        return subprocess.run([self.program, *words, "--config", self.config], check=True, stdout=subprocess.PIPE).stdout

    def start(self, log):
        self.process = subprocess.Popen([self.program, "run", "--config", self.config], stderr=log, start_new_session=True)

    def feed(self, topic):
        command = [self.program, "replay", "--config", self.config, "--topic", topic, "--format", "raw", "-"]
        quiet = dict(os.environ, RUST_LOG="error")
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=quiet, text=True)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


class Database:
    def __init__(self, url):
        self.url = url

    def ask(self, query):
        """The rows, as objects."""
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--dbname", self.url]
        query = f"SELECT coalesce(json_agg(found), '[]') FROM ({query}) AS found"
        answer = subprocess.run([*command, "--command", query], check=True, stdout=subprocess.PIPE)
        return json.loads(answer.stdout)

    def count(self, table):
        return self.ask(f"SELECT count(*) AS rows FROM {table}")[0]["rows"]


def written(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rates(text):
    """Messages a second for the first N messages, the next ones, and so on; the last holds for the rest."""
    return [(int(part.split(":")[0]), float(part.split(":")[1])) for part in text.split(",")]


def pauses(steps):
    """Seconds from one message to the next."""
    while True:
        count, rate = steps[0]
        for _ in range(count):
            yield 1 / rate
        if len(steps) > 1:
            steps = steps[1:]


def label(row, at, annotator):
    fields = {"id": row["id"], "label": row["label"], "annotator": annotator, "labelled_at": written(at), "sampling": "random"}
    return json.dumps(fields)


def send(service, rows, options, tell):
    """Sends everything; the time at which each message was sent, and which were labelled."""
    posts, labels = service.feed("posts"), service.feed("labels")
    chance = random.Random(SEED)
    labelled, due, sent = set(), [], []
    begin, apart = datetime.now(timezone.utc) - MONTH, MONTH / len(rows)
    next_at = told = time.monotonic()
    for number, (row, pause) in enumerate(zip(rows, pauses(options.rates))):
        at = begin + number * apart
        post = {name: row[name] for name in ("id", "text", "source", "author", "subject") if name in row}
        posts.stdin.write(json.dumps(dict(post, event_time=written(at))) + "\n")
        posts.stdin.flush()
        sent.append(time.time())
        if chance.random() < options.labels:
            labelled.add(row["id"])
            due.append((at + timedelta(hours=chance.uniform(*LATE)), row))
        if due and number % 10 == 0:
            for when, one in [one for one in due if one[0] <= at]:
                labels.stdin.write(label(one, when, "person") + "\n")
            labels.stdin.flush()
            due = [one for one in due if one[0] > at]
        next_at += pause
        now = time.monotonic()
        if now - told >= LOOK_EVERY:
            told = now
            tell(number, next_at - now)
        time.sleep(max(0, next_at - now))
    for feed in (posts, labels):
        feed.stdin.close()
        if feed.wait() != 0:
            sys.exit("closed-loop-study: not all of the stream has arrived")
    return sent, labelled


def is_over(database, messages):
    """Whether everything is answered, and no training or verdict under way."""
    under_way = "v_training_runs WHERE state = 'running' OR (state = 'done' AND verdict IS NULL)"
    return database.count("v_predictions") >= messages and database.count(under_way) == 0


def settings(options, folder):
    """The settings of the study, with the places of this run."""
    text = "\n".join(Path(path).read_text() for path in (options.settings, options.more) if path)
    places = {
        "bootstrap": os.environ["KAFKA_BOOTSTRAP"],
        "url": os.environ["DATABASE_URL"],
        "folder": str(Path(options.folder).resolve()),
        "work": str(folder),
        "recipe": str(Path(__file__).resolve().parents[2] / "recipes" / "closed-loop.toml"),
        "loop": "true" if options.loop else "false",
    }
    config = folder / "tidewatch.toml"
    config.write_text(re.sub(r"@(\w+)@", lambda found: places[found[1]], text))
    config.chmod(0o600)
    return str(config)


def main():
    parser = argparse.ArgumentParser()
    for name in ("program", "settings", "folder", "out"):
        parser.add_argument(name)
    parser.add_argument("--more")
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--rates", type=rates, default=[(1, 100.0)])
    parser.add_argument("--labels", type=float, default=0.1)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    rows = [json.loads(line) for line in open(Path(options.folder) / "stream.jsonl", encoding="utf-8")][: options.limit]
    options.work.mkdir(parents=True)
    service, database = Service(options.program, settings(options, options.work)), Database(os.environ["DATABASE_URL"])
    service.do("migrate")
    service.do("model", "import", str(Path(options.folder) / "model"), "--reason", "the study's first model")
    version = database.ask("SELECT model FROM v_models")[0]["model"]
    service.do("model", "promote", version, "--reason", "the study's first model")
    seen = 0

    def tell(number, ahead):
        nonlocal seen
        steps = database.ask(f"SELECT number, what, alias, reason FROM v_deployments WHERE number > {seen} ORDER BY number")
        for step in steps:
            seen = step["number"]
            print(f"{number:>6} {step['what']} {step['alias'] or ''} {step['reason']}", file=sys.stderr)
        print(f"{number:>6} sent, {database.count('v_predictions')} scored, {-ahead:.1f} s behind", file=sys.stderr)

    with open(options.work / "log", "wb") as log:
        service.start(log)
        try:
            sent, labelled = send(service, rows, options, tell)
            until = time.monotonic() + DRAIN_SECONDS
            while not is_over(database, len(rows)) and time.monotonic() < until:
                time.sleep(1)
        finally:
            code = service.stop()
    if code != 0:
        sys.exit(f"closed-loop-study: the service ended with {code}: see {options.work / 'log'}")
    found = {
        "rows": [dict(id=row["id"], label=row["label"], subject=row.get("subject"), labelled=row["id"] in labelled, sent=at) for row, at in zip(rows, sent)],
        "answers": database.ask("SELECT message_id AS id, label, model, scored_at FROM v_predictions"),
        "reports": database.ask("SELECT model, change, reported_at, report FROM v_drift_reports ORDER BY id"),
        "windows": database.ask("SELECT count(*) AS windows FROM v_drift_windows")[0]["windows"],
        "decisions": database.ask("SELECT id, at, action, cause, sentences, outcome, refused FROM v_training_decisions ORDER BY id"),
        "trainings": database.ask(
            "SELECT id, state, started, ended, cause, champion, candidate, verdict, gated_at, dataset, gate FROM v_training_runs ORDER BY id"
        ),
        "rollouts": database.ask("SELECT * FROM v_rollouts ORDER BY id"),
        "steps": database.ask("SELECT rollout, number, at, step, stage, share, reason FROM v_rollout_steps ORDER BY number"),
        "deployments": database.ask("SELECT number, at, what, alias, model, before, reason FROM v_deployments ORDER BY number"),
    }
    Path(options.out).write_text(json.dumps(found))


main()
