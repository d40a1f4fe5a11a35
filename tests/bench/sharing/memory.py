"""Memory of a process and its descendants."""

from pathlib import Path

MB = 1e6


def process_tree(pid):
    """Returns the process ids of a process and its descendants."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                pids.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return pids


def tree_memory(pid):
    """Returns PSS, which counts shared memory once, and RSS of a process tree in bytes."""
    pss = rss = 0
    for process in process_tree(pid):
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:  # the process has exited
            continue
        fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
        pss += int(fields["Pss"].split()[0]) * 1024
        rss += int(fields["Rss"].split()[0]) * 1024
    return pss, rss
