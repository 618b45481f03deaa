"""The results of bench/cdc as Markdown."""

import statistics

LIMITS = ("pgoutput", "pgoutput-binary")
# Bounds on the median wall time as a multiple of the faster pgoutput limit's.
BARS = {"penstock-nothing": 1.5, "penstock": 3.0}


def median(runs, value):
    return statistics.median(value(run) for run in runs) if runs else None


def wall_of(backlog, name):
    return median(backlog.usable(name), lambda run: run.wall)


def limit_of(backlog):
    found = [wall for name in LIMITS if (wall := wall_of(backlog, name))]
    return min(found) if found else None


def names_of(backlog):
    seen = dict.fromkeys(one.contestant.name for one in backlog.drained)
    return sorted(seen, key=lambda name: (backlog.of(name)[0].contestant.into != "nothing", wall_of(backlog, name) or 1e9))


def backlog_section(backlog):
    limit = limit_of(backlog)
    lines = [f"### {backlog.stream.title[0].upper()}{backlog.stream.title[1:]}, onto {backlog.stream.base:,} rows", "",
             "| contestant | into | wall s | changes/s | × limit | CPU s | peak MB | runs | what is wrong or bent |",
             "|---|---|---:|---:|---:|---:|---:|---:|---|"]
    for name in names_of(backlog):
        runs, all_of = backlog.usable(name), backlog.of(name)
        into = all_of[0].contestant.into
        remarks = [f"**{words}**" for words in dict.fromkeys(one.error for one in all_of if one.error)]
        remarks += [f"**WRONG: {words}**" for one in all_of if one.verdict for words in one.verdict.wrong]
        remarks += dict.fromkeys(words for one in all_of if one.usable for words in one.verdict.bends)
        if runs:
            wall = wall_of(backlog, name)
            lines.append(f"| {name} | {into} | {wall:.2f} | {backlog.stream.changes / wall:,.0f} | {wall / limit:.2f} | "
                         f"{median(runs, lambda run: run.cpu):.1f} | {median(runs, lambda run: run.peak_bytes) / 1e6:,.0f} | {len(runs)} | "
                         f"{'; '.join(remarks)} |" if limit else f"| {name} | {into} | {wall:.2f} | | | | | {len(runs)} | {'; '.join(remarks)} |")
        else:
            lines.append(f"| {name} | {into} | | | | | | 0 | {'; '.join(remarks)} |")
    lines += [f"| {name} | | | | | | | 0 | {why} |" for name, why in backlog.left_out.items()]
    return "\n".join(lines) + "\n"


def latency_section(measured):
    lines = ["| contestant | into | asked changes/s | minutes | made changes/s | sampled | p50 ms | p99 ms | max ms | CPU s a minute | what is wrong |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"]
    for one in measured:
        if one.error:
            lines.append(f"| {one.name} | {one.into} | {one.rate:,} | {one.minutes:g} | | | | | | | **{one.error}** |")
            continue
        lines.append(f"| {one.name} | {one.into} | {one.rate:,} | {one.minutes:g} | {one.made:,.0f} | {one.sampled:,} | {one.p50:,.0f} | "
                     f"{one.p99:,.0f} | {one.most:,.0f} | {one.cpu / one.minutes:.1f} | {'; '.join(one.wrong)} |")
    return "\n".join(lines) + "\n"


def goal_lines(backlogs):
    """Bars, and who is first into each kind of target."""
    lines = ["", "## Goals", ""]
    for backlog in backlogs:
        limit = limit_of(backlog)
        if not limit:
            continue
        for name, bar in BARS.items():
            wall = wall_of(backlog, name)
            if wall:
                lines.append(f"- {backlog.stream.name}: {name} takes {wall / limit:.2f} × the pgoutput limit; at most {bar:g} is wanted: "
                             f"{'met' if wall <= bar * limit else '**missed**'}.")
        for into in dict.fromkeys(one.contestant.into for one in backlog.drained if one.contestant.into != "nothing"):
            walls = {one.contestant.name: wall_of(backlog, one.contestant.name) for one in backlog.drained if one.contestant.into == into}
            ranked = sorted((wall, name) for name, wall in walls.items() if wall)
            if len(ranked) > 1:
                lines.append(f"- {backlog.stream.name} into {into}: {ranked[0][1]} is first, {ranked[1][0] / ranked[0][0]:.1f} times as fast as "
                             f"{ranked[1][1]}.")
    return "\n".join(lines)


def every_run(backlogs):
    lines = ["", "## Every run", "", "| stream | contestant | round | wall s | CPU s | peak MB |", "|---|---|---:|---:|---:|---:|"]
    for backlog in backlogs:
        lines += [f"| {backlog.stream.name} | {one.contestant.name} | {one.round} | {one.run.wall:.2f} | {one.run.cpu:.2f} | "
                  f"{one.run.peak_bytes / 1e6:,.0f} |{'' if one.usable else ' not counted'}" for one in backlog.drained if one.run]
    return "\n".join(lines)
