"""Formats the measurements as text tables."""

import statistics

from .amounts import MEASURES as NUMBERS
from .score import MEASURES

# The batch sizes that each entry of `by_size` counts: pages or lines per model run.
SIZES = ["1", "2", "3–4", "5–8", "9–16", "17–32", "33–64", "over 64"]

LEGEND = [
    "wall and CPU: seconds per page of the whole process; further: without startup and loading of models",
    "peak: proportional set size (PSS) of the process and its descendants",
]


def median(runs, which, key):
    """Returns the median over the rounds of one cost, of reading `one` page or `all`."""
    return statistics.median(cost[key] for cost in runs[which])


def further(runs, key, count):
    """Returns the median over the rounds of the marginal cost per page: all pages minus one."""
    pairs = zip(runs["all"], runs["one"], strict=True)
    return statistics.median((whole[key] - one[key]) / (count - 1) for whole, one in pairs)


def cost_table(runs, count):
    """Returns a row per peer. `count` is the number of pages."""
    rows = [["", "wall s", "further", "CPU s", "further", "pages/s", "peak MB"]]
    for name, peer in runs.items():
        wall, cpu = median(peer, "all", "wall") / count, median(peer, "all", "cpu") / count
        memory = max(cost["memory"] for cost in peer["all"]) / 1e6
        costs = [wall, further(peer, "wall", count), cpu, further(peer, "cpu", count)]
        rows.append([name, *(f"{cost:.3f}" for cost in costs), f"{1 / wall:.2f}", f"{memory:.0f}"])
    return aligned(rows)


def rate_table(rates, measure, kinds):
    """Returns the rates of one measure: a row per kind of page, a column per peer."""
    rows = [[measure, *rates]]
    for kind in (*kinds, "all"):
        found = [peer[measure].get(kind) for peer in rates.values()]
        if any(rate is not None for rate in found):
            rows.append([kind, *("–" if rate is None else f"{100 * rate:.3f} %" for rate in found)])
    return aligned(rows) if len(rows) > 1 else []


def stage_table(runs):
    """Returns the time per stage and page, the share of padding, and the batch sizes, for peers that report them."""
    rows = [["", "decode s", "detect s", "recognize s", "outside s", "outside", "padding det", "padding rec"]]
    sizes = []
    for name, peer in runs.items():
        works = [cost["work"] for cost in peer["all"] if cost["work"]]
        if not works:
            continue
        stages = {stage: statistics.median(split(work)[stage] for work in works) for stage in split(works[0])}
        total = sum(stages.values()) - stages["decode"]
        last = works[-1]["work"]
        rows.append([
            name,
            *(f"{seconds:.3f}" for seconds in stages.values()),
            f"{100 * stages['outside'] / total:.1f} %",
            *(f"{100 * waste(last[model]):.2f} %" for model in ("detection", "recognition")),
        ])
        for model in ("detection", "recognition"):
            counts = zip(SIZES, last[model]["by_size"], strict=False)
            shared = ", ".join(f"{count} of {size}" for size, count in counts if count)
            sizes.append(f"{name}, runs of {model}: {shared or 'none'}")
    return [*aligned(rows), "", *sizes] if sizes else []


def split(counted):
    """Returns the seconds per page of each stage."""
    work, pages = counted["work"], max(counted["work"]["pages"], 1)
    detect, recognize = seconds(work["detection"]["busy"]), seconds(work["recognition"]["busy"])
    stages = {
        "decode": seconds(counted["decoding"]),
        "detect": detect,
        "recognize": recognize,
        "outside": max(seconds(work["total"]) - detect - recognize, 0.0),
    }
    return {stage: spent / pages for stage, spent in stages.items()}


def seconds(duration):
    """Converts a duration as `serde` serializes it."""
    return duration["secs"] + duration["nanos"] / 1e9


def waste(run):
    """Returns the share of padding in the model input."""
    return 1 - run["drawn"] / run["padded"] if run["padded"] else 0.0


def summary(runs, rates, count):
    """Returns sentences: the speedup of each Quire over each peer, and the kinds of pages where its CER is higher."""
    sentences = []
    for ours in (name for name in runs if name.startswith("Quire")):
        for peer in (name for name in runs if not name.startswith("Quire")):
            wall, cpu = (median(runs[peer], "all", key) / median(runs[ours], "all", key) for key in ("wall", "cpu"))
            page = further(runs[peer], "wall", count) / further(runs[ours], "wall", count)
            rate, other = rates[ours]["cer"], rates[peer]["cer"]
            worse = [kind for kind in rate if rate[kind] > other[kind]]
            above = ", ".join(f"{kind} ({100 * rate[kind]:.3f} % against {100 * other[kind]:.3f} %)" for kind in worse)
            sentences.append(
                f"{ours} is {wall:.2f} times as fast as {peer} ({page:.2f} times per further page, {cpu:.2f} times in "
                f"CPU time); its CER is higher on: {above or 'no kind of page'}"
            )
    return sentences


def report(machine, runs, rates, numbers, kinds, count):
    """Returns the whole report as lines."""
    lines = [machine, *LEGEND, "", *cost_table(runs, count)]
    for measure in MEASURES:
        table = rate_table(rates, measure, kinds)
        lines += ["", *table] if table else []
    for measure in NUMBERS:
        table = rate_table(numbers, measure, kinds)
        lines += ["", f"{measure} read exactly", *table] if table else []
    stages = stage_table(runs)
    lines += ["", *stages] if stages else []
    return [*lines, "", *summary(runs, rates, count)]


def aligned(rows):
    """Aligns the first column to the left, all others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join([row[0].ljust(widths[0]), *cells[1:]]) for row, cells in zip(rows, padded, strict=True)]
