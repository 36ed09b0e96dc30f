"""An answer as HTML: Markdown without raw HTML, images or foreign links; each number says where it comes from, each citation opens its passage."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

_KEY = re.compile(r"\[([0-9a-f]{6})\]")
_MARK = "\ue000{}\ue001"  # private characters: what a number is replaced by while Markdown is read
_MARKED = re.compile("\ue000(\\d+)\ue001")


@cache
def _markdown() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable("table").disable(["image", "link", "autolink"])


def answer(
    text: str, numbers: Sequence[Mapping[str, Any]] = (), steps: Sequence[Mapping[str, Any]] = (), citations: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The HTML of an answer. `numbers`, `steps` and `citations` are those of `moho ask --json`."""
    text = re.sub("[\ue000\ue001]", "", text)
    held: list[str] = []

    def hold(markup: str) -> str:
        held.append(markup)
        return _MARK.format(len(held) - 1)

    position, pieces = 0, []
    for number in numbers:  # they are in the order of the answer
        written = str(number["text"])
        found = text.find(written, position)
        if found < 0 or len(written) > 200:
            continue
        told = source(str(number["source"]), steps)
        mark = (
            f'<button type="button" class="number" data-source="{html.escape(told)}" aria-label="{html.escape(written)}, from {html.escape(told)}">'
        )
        pieces += [text[position:found], hold(f"{mark}{html.escape(written)}</button>")]
        position = found + len(written)
    text = "".join([*pieces, text[position:]])
    known = {str(citation["key"]): citation for citation in citations}

    def cite(match: re.Match[str]) -> str:
        if (found := known.get(match[1])) is None:
            return match[0]
        title = html.escape(str(found.get("title", "")))
        return hold(f'<button class="cite" type="button" data-key="{match[1]}" title="{title}">[{match[1]}]</button>')

    made = str(_markdown().render(_KEY.sub(cite, text)))
    return _MARKED.sub(lambda match: held[int(match[1])] if int(match[1]) < len(held) else "", made)


def source(written: str, steps: Sequence[Mapping[str, Any]]) -> str:
    """Where a number comes from, in words: `step:1:energy_band` as "step 1, bandpass: energy band"."""
    kind, _, rest = written.partition(":")
    if kind == "step":
        number, _, key = rest.partition(":")
        tool = next((str(step["tool"]) for step in steps if str(step["id"]) == number), "")
        return f"step {number}{f', {tool}' if tool else ''}: {key.replace('_', ' ')}"
    return "your request" if kind == "request" else f"passage [{rest}]"


def report(outcome: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """A run as one HTML page that needs nothing else. `pictures`: path of an artefact -> its data address."""
    steps = []
    for step in outcome.get("steps", []):
        arguments = "".join(
            f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>"
            for key, value in step["arguments"].items()
            if value is not None
        )
        facts = "".join(
            f"<tr><th>{html.escape(str(fact.get('label') or key))}</th><td>{html.escape(shown(fact))}</td></tr>"
            for key, fact in step.get("result", {}).get("facts", {}).items()
        )
        notes = "".join(f"<li>{html.escape(str(note))}</li>" for note in step.get("result", {}).get("notes", []))
        images = "".join(f'<img src="{pictures[path]}" alt="figure of step {step["id"]}">' for path in step["artifacts"] if path in pictures)
        error = f"<p class=error>{html.escape(str(step['error'].get('message', '')))}</p>" if step.get("error") else ""
        steps.append(
            f"<section><h2>{step['id']} {html.escape(str(step['tool']))}</h2>{error}<table>{arguments}</table>{images}"
            f"<table>{facts}</table><ul>{notes}</ul></section>"
        )
    said = answer(outcome["answer"], outcome.get("numbers", []), outcome.get("steps", []), outcome.get("citations", []))
    passages = "".join(
        f"<blockquote><p>{html.escape(str(one['quote']))}</p>"
        f"<footer>[{html.escape(str(one['key']))}] {html.escape(str(one['title']))}</footer></blockquote>"
        for one in outcome.get("citations", [])
    )
    request = html.escape(str(outcome.get("request", "")))
    title = request[:80] or f"Run {outcome['run_id']}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{request}</h1><div class=answer>{said}</div>{passages}{''.join(steps)}"
        f"<footer>Moho, run {html.escape(str(outcome['run_id']))}, model {html.escape(str(outcome.get('model', '')))}</footer></html>"
    )


def shown(fact: Mapping[str, Any]) -> str:
    """A number as text, with its unit."""
    from moho.units import Quantity

    return str(Quantity(fact["value"], fact.get("unit", ""), fact.get("label", "")))


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "img{max-width:100%}table{border-collapse:collapse;margin:.5rem 0}th,td{text-align:left;padding:.15rem .8rem .15rem 0;font-weight:normal;"
    "vertical-align:top}th{color:#555}.answer{font-size:1.1rem}.error{color:#a00}blockquote{border-left:3px solid #888;margin:1rem 0;padding:0 1rem}"
    ".number{border-bottom:1px dotted #888}.cite{border:0;background:none;color:#06c;padding:0;font:inherit}footer{color:#555}"
)
