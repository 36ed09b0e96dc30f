"""Scores of a model as one page that stands alone: the tables, and every failure with what was wanted and what was done.

Nothing is loaded from elsewhere and nothing runs: no script, no picture, no font. Words of requests, models and files are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from moho.rl.scores import Scored, measures

STYLE = """
:root { color-scheme: light dark; --line: #8885; --bar: #4a7ab5; --bad: #b5443a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.bar { display: inline-block; width: 9rem; height: .6rem; background: var(--line); } .bar i { display: block; height: 100%; background: var(--bar); }
article { border-top: 1px solid var(--line); padding: .8rem 0; } article h3 { font-size: 1rem; margin: 0; } dl { margin: .3rem 0; }
dt { font-weight: 600; } dd { margin: 0 0 .3rem 1rem; overflow-wrap: anywhere; } code { font-size: .9em; } .why { color: var(--bad); }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(result: Mapping[str, Any], scored: Sequence[Sequence[Scored]], rows: Sequence[Mapping[str, Any]]) -> str:
    """The HTML of a table (`moho.rl.scores.table`) and of the plays and requests behind it."""
    asked = {row["id"]: row for row in rows}
    failed = [one for once in scored for one in once if not one.passed]
    title = f"Requests played by {result.get('model', 'a model')}"
    plays = len(scored)
    head = f"{len(asked)} requests, played {plays} time{'s' * (plays > 1)}, of {', '.join(result.get('files', [])) or 'no file'}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1><p>{escape(head)}. Intervals hold 95 %, by bootstrap over requests.</p>",
        *_passed(result),
        *_measured(result),
        f"<h2>Failures ({len(failed)})</h2>",
        *(_failure(one, asked.get(one.id, {}), plays) for one in failed),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def wanted(check: Mapping[str, Any]) -> str:
    """A check in words."""
    status = check["status"] if isinstance(check["status"], list) else [check["status"]]
    parts = [" or ".join(status)]
    for number in check.get("numbers", []):
        value = number.get("value", f"the truth's {number.get('truth')}")
        parts.append(f"the number {value}" + (f" ± {number['tolerance']}" if "tolerance" in number else ""))
    for made in check.get("made", []):
        held = ", ".join(f"{key} {value}" for key, value in made.get("fields", {}).items())
        parts.append(f"a {made['kind']}" + (f" with {held}" if held else ""))
    for key, before in (("about", "a question about"), ("code", "code")):
        if key in check:
            parts.append(f"{before} {' or '.join(check[key])}")
    if "premise" in check:
        parts.append(f"“not {check['premise']}”")
    if "text" in check:
        parts.append(f"the words “{check['text']}”")
    return "; ".join(parts)


def _passed(result: Mapping[str, Any]) -> Iterable[str]:
    """The table of what was passed."""
    several = next((key for key in result["scores"].get("all", {}) if key.startswith("pass^") and key != "pass^1"), "")
    yield '<h2>Passed</h2><table><tr><th>group</th><th class="n">requests</th><th class="n">pass^1</th><th></th><th>interval</th>'
    yield (f'<th class="n">{several}</th>' if several else "") + "</tr>"
    for group, row in result["scores"].items():
        low, high = row["interval"]
        last = f'<td class="n">{row[several]:.3f}</td>' if several else ""
        yield (
            f'<tr><td>{escape(group)}</td><td class="n">{row["requests"]}</td><td class="n">{row["pass^1"]:.3f}</td>'
            f"<td>{_bar(row['pass^1'])}</td><td>{low:.3f} to {high:.3f}</td>{last}</tr>"
        )
    yield "</table>"


def _measured(result: Mapping[str, Any]) -> Iterable[str]:
    """The table of calls, numbers and ends, and what is counted."""
    yield '<h2>Calls, numbers, ends</h2><table><tr><th>measure</th><th class="n">share</th><th></th><th>interval</th><th class="n">of</th></tr>'
    for name, one in measures(result).items():
        if one["share"] is None:
            yield f'<tr><td>{escape(name)}</td><td class="n">–</td><td></td><td></td><td class="n">0</td></tr>'
            continue
        low, high = one["interval"]
        yield (
            f'<tr><td>{escape(name)}</td><td class="n">{one["share"]:.3f}</td><td>{_bar(one["share"])}</td>'
            f'<td>{low:.3f} to {high:.3f}</td><td class="n">{one["n"]}</td></tr>'
        )
    yield "</table><table>"
    counted = {"invented numbers": result["invented_numbers"], "invented references": result["invented_references"]}
    counted |= {f"seconds, {key}": value for key, value in result["seconds"].items()}
    counted |= {f"tokens {key} a request": value for key, value in result["tokens"].items()}
    for name, value in counted.items():
        yield f'<tr><td>{escape(name)}</td><td class="n">{value}</td></tr>'
    yield "</table>"


def _failure(one: Scored, row: Mapping[str, Any], plays: int) -> str:
    """One failed play."""
    turns = [
        f"<dt>Asked</dt><dd>{escape(turn['request'])}</dd><dt>Wanted</dt><dd>{escape(wanted(turn['check']))}</dd>" for turn in row.get("turns", [])
    ]
    did = "".join(f"<dd><code>{escape(reply)}</code></dd>" for reply in one.replies) or "<dd>nothing</dd>"
    which = f", play {one.play + 1}" if plays > 1 else ""
    return (
        f"<article><h3>{escape(one.id)} <small>({escape(one.kind)}, {escape(one.discipline)}{which})</small></h3><dl>{''.join(turns)}"
        f'<dt>Did</dt>{did}<dt>Failed</dt><dd class="why">{escape(one.why)}</dd></dl></article>'
    )


def _bar(part: float) -> str:
    return f'<span class="bar"><i style="width:{100 * min(max(part, 0.0), 1.0):.1f}%"></i></span>'
