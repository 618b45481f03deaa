"""Lays the outcomes out as Markdown, for the terminal and for bench/results."""

import os
import pathlib
import platform
import statistics
import subprocess

from .rounds import penstock_says

# What issue 3 asks of Penstock: the largest share of the rival's wall time and CPU, by target.
GOALS = {"DuckDB": {"scanner": (0.8, 0.75)}, "Parquet": {"scanner": (0.95, 0.9)}}
OTHERS_GOAL = (0.5, 0.5)
MEMORY_GOAL_BYTES = 512 << 20


def table(header, rows):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    line = lambda row: "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |"
    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def ratio(mine, theirs):
    return f"{mine / theirs:.2f}" if mine and theirs else "-"


def best(runs, field):
    return min((getattr(run, field) for run in runs), default=None)


def middle(runs, field):
    return statistics.median([getattr(run, field) for run in runs]) if runs else None


def seconds(value):
    return "-" if value is None else f"{value:.2f}"


def megabytes(value):
    return "-" if not value else f"{value / 1e6:,.0f}"


def peers_in(pair):
    return list(dict.fromkeys(outcome.peer for outcome in pair.outcomes))


def copy_section(pair):
    """Wall, CPU, memory and size of everyone on one pair; ratios are of medians."""
    walls = {peer: middle(pair.usable(peer), "wall") for peer in peers_in(pair)}
    cpus = {peer: middle(pair.usable(peer), "cpu") for peer in peers_in(pair)}
    rows = []
    for peer in sorted(walls, key=lambda peer: walls[peer] or 1e9):
        runs = pair.usable(peer)
        sizes = [o.verdict.size_bytes for o in pair.of(peer) if o.verdict and o.usable]
        rows.append([peer, len(runs), seconds(best(runs, "wall")), seconds(walls[peer]), seconds(best(runs, "cpu")),
                     seconds(cpus[peer]), megabytes(max((run.peak_bytes for run in runs), default=None)),
                     megabytes(statistics.median(sizes) if sizes else None), ratio(walls[peer], walls.get("limit")),
                     ratio(walls[peer], walls.get("scanner")), ratio(cpus[peer], cpus.get("scanner")),
                     ratio(walls.get("penstock"), walls[peer]), ratio(cpus.get("penstock"), cpus[peer])])
    header = ["peer", "runs", "wall s, best", "median", "CPU s, best", "median", "peak MB", "output MB", "wall / limit",
              "wall / scanner", "CPU / scanner", "Penstock's wall / its", "Penstock's CPU / its"]
    return f"### {pair.title}\n\n{table(header, rows)}\n\n{remarks(pair)}"


def increment_section(pair):
    rows = []
    for peer in sorted(peers_in(pair), key=lambda peer: middle(pair.usable(peer), "wall") or 1e9):
        runs = pair.usable(peer)
        sent = [outcome.rows_sent for outcome in pair.of(peer) if outcome.usable]
        rows.append([peer, len(runs), seconds(best(runs, "wall")), seconds(middle(runs, "wall")),
                     seconds(best(runs, "cpu")), seconds(middle(runs, "cpu")),
                     megabytes(max((run.peak_bytes for run in runs), default=None)),
                     f"{max(sent):,}" if sent else "-"])
    header = ["peer", "runs", "wall s, best", "median", "CPU s, best", "median", "peak MB", "rows PostgreSQL sent"]
    return f"### {pair.title}\n\n{table(header, rows)}\n\n{remarks(pair)}"


def remarks(pair):
    """Correctness, bends and failures: one line a peer."""
    lines = []
    for peer in peers_in(pair):
        outcomes = pair.of(peer)
        problems = list(dict.fromkeys([o.error for o in outcomes if o.error] +
                                      ["wrong: " + "; ".join(o.verdict.wrong) for o in outcomes if o.verdict and o.verdict.wrong]))
        verdict = next((o.verdict for o in outcomes if o.verdict), None)
        said = [f"**{problem}**" for problem in problems]
        if verdict and not verdict.wrong:
            said.append("every value equal to PostgreSQL's")
            said.append("bends " + ", ".join(verdict.bends) if verdict.bends else "every type as expected")
            if verdict.added:
                said.append("adds " + ", ".join(verdict.added))
            if verdict.compression:
                said.append("compression " + ", ".join(verdict.compression))
        if said:
            lines.append(f"- {peer}: {'; '.join(said)}")
    return "\n".join(lines) + "\n"


def goal_lines(pairs):
    """Whether Penstock reached what the issue asks, rival by rival."""
    rows = []
    for pair in pairs:
        target = "DuckDB" if "to DuckDB" in pair.title else "Parquet"
        own = pair.usable("penstock")
        if not own:
            continue
        for peer in peers_in(pair):
            runs = pair.usable(peer)
            if peer in ("penstock", "limit") or not runs:
                continue
            wall_goal, cpu_goal = GOALS[target].get(peer, OTHERS_GOAL)
            wall, cpu = middle(own, "wall") / middle(runs, "wall"), middle(own, "cpu") / middle(runs, "cpu")
            rows.append([pair.title, peer, f"{wall:.2f} of at most {wall_goal}", "yes" if wall <= wall_goal else "NO",
                         f"{cpu:.2f} of at most {cpu_goal}", "yes" if cpu <= cpu_goal else "NO"])
        peak = max(run.peak_bytes for run in own)
        rows.append([pair.title, "(memory)", f"{peak / 1048576:.0f} MiB of at most {MEMORY_GOAL_BYTES >> 20}",
                     "yes" if peak <= MEMORY_GOAL_BYTES else "NO", "", ""])
    if not rows:
        return ""
    return "## Against the goals\n\n" + table(["pair", "rival", "wall, or memory", "met", "CPU", "met"], rows) + "\n"


def every_run(pairs):
    rows = []
    for pair in pairs:
        for o in pair.outcomes:
            if o.run is None:
                continue
            told = penstock_says(o.run) if o.peer == "penstock" else {}
            rows.append([pair.title, o.round, o.peer, f"{o.run.wall:.2f}", f"{o.run.cpu:.2f}", megabytes(o.run.peak_bytes),
                         f"{o.rows_sent:,}", " ".join(f"{name}={value}" for name, value in told.items() if value is not None)])
    return ("<details><summary>Every run</summary>\n\n" +
            table(["pair", "round", "peer", "wall s", "CPU s", "peak MB", "rows sent", "its own account"], rows) +
            "\n\n</details>\n")


def machine():
    """Processor, cores, memory, kernel: what a reader needs to compare."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def commit_of(folder):
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def load_average():
    return " ".join(f"{value:.2f}" for value in os.getloadavg())
