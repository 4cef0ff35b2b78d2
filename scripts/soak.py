"""Samples a service's resident memory until it has done so many messages, or so long; see scripts/soak."""

import json
import re
import statistics
import sys
import time
import urllib.request

EVERY_SECONDS = 5
REPORT_SECONDS = 60
FEW = 5
# More than this, and memory grows.
ALLOWED = 1.05


def resident(pid):
    """Bytes."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


def address(log):
    """Where the service answers, once it has said so."""
    while True:
        with open(log) as lines:
            said = re.search(r'"address":"([^"]+)"', lines.read())
        if said:
            return said[1]
        time.sleep(0.5)


def done(where):
    """Messages that have been committed."""
    with urllib.request.urlopen(f"http://{where}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    counters = r"^tidewatch_(?:predictions|dead_letters)_total(?:\{[^}]*\})? (\d+)"
    return sum(int(count) for count in re.findall(counters, text, re.M))


def main():
    pid, log, file, wanted, minutes = sys.argv[1:]
    wanted, seconds = int(wanted), float(minutes) * 60
    where = address(log)
    begun = reported = time.monotonic()
    samples = []
    with open(file, "w") as out:
        while True:
            now = time.monotonic()
            sample = {"seconds": round(now - begun, 1), "messages": done(where), "resident": resident(pid)}
            samples.append(sample)
            print(json.dumps(sample), file=out, flush=True)
            if sample["messages"] >= wanted or now - begun >= seconds:
                break
            if now - reported >= REPORT_SECONDS:
                reported = now
                print(f"soak: {sample['messages']:,} messages, {sample['resident'] / 2**20:.1f} MiB", file=sys.stderr)
            time.sleep(EVERY_SECONDS)
    total = samples[-1]["messages"]
    if total == 0:
        sys.exit("soak: nothing was committed")
    # The middle of a few samples: one alone may be of a moment between two allocations.
    middle = lambda some: statistics.median(sample["resident"] for sample in some)
    first = middle([sample for sample in samples if sample["messages"] >= total / 10][:FEW])
    last = middle(samples[-FEW:])
    print(
        json.dumps(
            {
                "messages": total,
                "minutes": round(samples[-1]["seconds"] / 60, 2),
                "first": first,
                "last": last,
                "ratio": round(last / first, 4),
                "most": max(sample["resident"] for sample in samples),
            }
        )
    )
    sys.exit(0 if last <= ALLOWED * first else 1)


try:
    main()
except OSError as error:
    sys.exit(f"soak: the service does not answer any more: {error}")
