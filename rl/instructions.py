"""Instruction data for the embedded model, made from the registry: decisions with the reply that is right.

A tool brings its own examples: its signature, its units, and the ways people ask for it (`say`). Values are drawn, written in the
ways people write them, and the right reply copies what was written; a required value left out of the request is right as `?`. Numbers
that tools return come from runs on made earths whose seeds no evaluation uses. Each decision stands alone: what the model would be
shown at that step (`moho.agent.decision`), and the line it should reply.

The last two phrasings of every tool are never trained on; they measure how the model does on wordings it has not met.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from moho.agent import decision, offer
from moho.agent.quantities import quantities
from moho.agent.registry import MARK, load_tools, question
from moho.rl.harvest import INSPECTING, facts_of, harvest, made_kind, made_kind_of
from moho.rl.pen import HELD_OUT, Example, Pen
from moho.rl.phrases import AGAIN, ASKED_TWO, FREE, NAMES, NOUNS, OUTSIDE, PREMISES, QUESTIONS, STATED, SYNONYMS
from moho.rl.written import SLOT, Turn, Written, written
from moho.units import Quantity, Unit, parse

__all__ = ["HELD_OUT", "SHARES", "Example", "Writer", "card", "contaminated"]


class Writer(Pen):
    """Examples drawn from a seeded generator over the registry."""

    why = ""  # what kept the last written request from being played
    _before: Sequence[decision.Done] = ()  # the steps of its turn before
    _believed: Mapping[str, str] = {}  # number of a step and key -> what the last written request takes it for

    def examples(self, count: int) -> Iterator[Example]:
        """`count` examples; the kinds in the shares of `SHARES`."""
        made = 0
        makers = list(SHARES.items())
        while made < count:
            self._forms.clear()
            maker = self.random.choices([m for m, _ in makers], [share for _, share in makers])[0]
            example = getattr(self, maker)()
            if example is not None and (settled := self.settle(example)) is not None:
                made += 1
                yield settled

    # -- the kinds of decision

    def single(self) -> Example | None:
        """A first call."""
        tool = self.random.choice(list(self.tools.values()))
        return self._call(tool, "call")

    def ask(self) -> Example | None:
        """A call with something required left open."""
        choices = [t for t in self.tools.values() if any(a.required and not a.is_data for a in t.arguments)]
        tool = self.random.choice(choices)
        if self.random.random() < 0.5:
            return self._call(tool, "ask", cut=True)
        return self._call(tool, "ask", bare=True)

    def which(self) -> Example | None:
        """A call on one of several data sets that fit, where none was named."""
        tool = self.random.choice([t for t in self.tools.values() if any(a.is_data and a.required and not a.many for a in t.arguments)])
        return self._call(tool, "ask", ambiguous=True)

    def stated(self) -> Example | None:
        """The answer after what was asked is done."""
        first = self._call(self.random.choice(list(self.tools.values())), "call")
        done = self._done(first, 1) if first else None
        if first is None or done is None:
            return None
        return Example(
            replace(first.situation, done=[done]), decision.write_answer([f"1.{key}" for key in list(done.facts)[:3]]), "answer", first.tool
        )

    def asked(self) -> Example | None:
        """A question about some of a tool's numbers: the call, or the answer that names just those."""
        measured = [
            t for t in self.tools.values() if t.name in harvest() and t.stage != "plot" and not any(a.required and not a.is_data for a in t.arguments)
        ]
        tool = self.random.choice([*measured, *(t for t in measured if t.name in INSPECTING)])
        named, said, meant = self._data(tool)
        found = self._measured(tool, named, meant)
        if found is None:
            return None
        facts, call = found
        keys = self.random.sample(list(facts), min(len(facts), self.random.choice((1, 1, 2, 3))))
        parts = [self._wanted(facts[key], key) for key in keys]
        joined = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
        text = self._dress(self.random.choice(QUESTIONS).format(what=joined, of=next(iter(said.values()), "the data")))
        situation = decision.Situation(text, named, [])
        if "=?" in call:
            return Example(situation, call, "ask", tool.name)
        if self.random.random() < 0.45:
            return Example(situation, call, "call", tool.name)
        every = facts_of(tool.name, self._kind(tool, named, meant), self.random) or facts
        done = decision.Done(1, call, f"{tool.name} 1" if made_kind_of(tool.name) else "", every | facts)
        return Example(replace(situation, done=[done]), decision.write_answer([f"1.{key}" for key in keys]), "answer", tool.name)

    def asked_two(self) -> Example | None:
        """A question that two tools answer together, at any step of it."""
        measured = [self.tools[name] for name in INSPECTING if name in harvest()]
        one = self.random.choice(measured)
        kind = self.random.choice([k for a in one.arguments if a.is_data for k in a.kinds]).__name__
        others = [t for t in measured if t is not one and any(kind in {k.__name__ for k in a.kinds} for a in t.arguments if a.is_data)]
        if not others:
            return None
        two = self.random.choice(others)
        name = self.random.choice(NAMES[kind])
        named = {name: kind}
        for _ in range(self.random.choice((0, 1, 2))):
            extra = self.random.choice([k for k in NAMES if k not in named.values() and k not in ("Report", "Blocks")])
            named.setdefault(self.random.choice(NAMES[extra]), extra)
        target = self.random.choice((name, *NOUNS[kind])) if len([k for k in named.values() if k == kind]) == 1 else name
        parts, keys, done = [], [], []
        for position, tool in enumerate((one, two), 1):
            data = next(a.name for a in tool.arguments if a.is_data)
            found = self._measured(tool, {name: kind}, {data: name})
            if found is None:
                return None
            facts = found[0]
            chosen = self.random.sample(list(facts), min(len(facts), self.random.choice((1, 1, 2))))
            parts.append(" and ".join(self._wanted(facts[key], key) for key in chosen))
            keys += [f"{position}.{key}" for key in chosen]
            done.append(decision.Done(position, found[1], "", facts))
        text = self.random.choice(ASKED_TWO).format(*parts, of=target)
        upto = self.random.randint(0, 2)
        situation = decision.Situation(self._dress(text), named, [], done[:upto])
        reply = decision.write_answer(keys) if upto == 2 else done[upto].call
        return Example(situation, reply, "answer" if upto == 2 else "chain", reply.partition("(")[0])

    def asked_then(self) -> Example | None:
        """A question about a data set's numbers and a call on the same data set, at any step of the two."""
        one = self.tools[self.random.choice([name for name in INSPECTING if name in harvest()])]
        kind = self.random.choice([k for a in one.arguments if a.is_data for k in a.kinds]).__name__
        valued = [
            t
            for t in self.tools.values()
            if t is not one
            and any(a.unit and not a.is_data for a in t.arguments)
            and [kind in {k.__name__ for k in a.kinds} for a in t.arguments if a.is_data and a.required] == [True]
        ]
        if not valued:
            return None
        name = self.random.choice(NAMES[kind])
        target = self.random.choice((name, *NOUNS[kind]))
        found = self._measured(one, {name: kind}, {next(a.name for a in one.arguments if a.is_data): name})
        second = self._call(self.random.choice(valued), "chain", plain=True, catalogue={name: kind})
        made = self._done(second, 2) if second else None
        if found is None or second is None or made is None:
            return None
        keys = self.random.sample(list(found[0]), min(len(found[0]), self.random.choice((1, 2, 2))))
        parts = " and ".join(self._wanted(found[0][key], key) for key in keys)
        it = self.random.choice(("it", "the same", target, "this"))
        then = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", it, second.situation.request.rstrip("?."))
        text = self._dress(self.random.choice(ASKED_TWO).format(parts, then[:1].lower() + then[1:], of=target))
        calls = [found[1], second.reply]
        dones = [decision.Done(1, found[1], "", facts_of(one.name, kind, self.random) or found[0]), made]
        upto = self.random.choice((0, 1, 1, 2))
        shown = {name: kind}
        if upto == 2 and made.result:
            shown[made.result] = made_kind(made, self.tools)
        answered = [f"1.{key}" for key in keys] + [f"2.{key}" for key in _nearest(made.facts, second.situation.request)]
        reply = calls[upto] if upto < 2 else decision.write_answer(answered)
        return Example(decision.Situation(text, shown, [], dones[:upto]), reply, "chain" if upto < 2 else "answer", reply.partition("(")[0])

    def several(self) -> Example | None:
        """Questions or calls on two or three data sets of different kinds in one request, at any step of it."""
        named: dict[str, str] = {}
        calls: list[str] = []
        dones: list[decision.Done] = []
        parts: list[str] = []
        keys: list[str] = []
        for position in range(1, self.random.choice((3, 3, 4))):
            tool = (
                self.tools[self.random.choice([n for n in INSPECTING if n in harvest()])]
                if self.random.random() < 0.6
                else self.random.choice(list(self.tools.values()))
            )
            data = next((a for a in tool.arguments if a.is_data and a.required), None)
            if data is None or data.many:
                return None
            kind = self.random.choice(data.kinds).__name__
            if kind not in NAMES or kind in named.values() or kind in ("Report", "Blocks"):
                return None
            name = self.random.choice(NAMES[kind])
            if name in named:
                return None
            named[name] = kind
            target = name if self.random.random() < 0.6 else self.random.choice(NOUNS[kind])
            if tool.name in INSPECTING:
                found = self._measured(tool, {name: kind}, {data.name: name})
                if found is None:
                    return None
                key = self.random.choice(list(found[0]))
                parts.append(f"{self._wanted(found[0][key], key)} {self.random.choice(('in', 'of', 'for'))} {target}")
                calls.append(found[1])
                dones.append(decision.Done(position, found[1], "", facts_of(tool.name, kind, self.random) or found[0]))
                keys.append(f"{position}.{key}")
            else:
                one = self._call(tool, "several", plain=True, catalogue={name: kind})
                made = self._done(one, position) if one else None
                if one is None or made is None or "=?" in one.reply:
                    return None
                parts.append(one.situation.request)
                calls.append(one.reply)
                dones.append(made)
                keys.append(f"{position}.{next(iter(made.facts))}")
        joined = self.random.choice((", and ", " and ", ", also ", "; "))
        upto = self.random.randint(0, len(calls))
        shown = dict(named)
        for done in dones[:upto]:
            if done.result:
                shown[done.result] = made_kind(done, self.tools)
        situation = decision.Situation(self._dress(joined.join(parts)), shown, [], dones[:upto])
        reply = calls[upto] if upto < len(calls) else decision.write_answer(keys)
        return Example(situation, reply, "chain" if upto < len(calls) else "answer", reply.partition("(")[0])

    def implied(self) -> Example | None:
        """A request that needs a step nobody named: gridding before a map is filtered, picking before an event is located."""
        last = self.tools[self.random.choice(("continue_derive", "rtp_tilt_analytic", "locate_event", "remove_trend", "grid_trend"))]
        if last.name == "locate_event":
            first, kind, result = self.tools["pick_phases"], "Waveforms", "pick_phases 1"
        elif last.name == "grid_trend":
            first, kind, result = self.tools["bouguer_terrain"], "Gravity", "bouguer_terrain 1"
        else:
            first, kind, result = self.tools["grid_trend"], self.random.choice(("Magnetics", "Gravity")), "grid_trend 1"
        name = self.random.choice(NAMES[kind])
        named = {name: kind}
        if last.name == "locate_event" and self.random.random() < 0.6:
            named[self.random.choice(NAMES["Response"])] = "Response"
        target = self.random.choice((name, *NOUNS[kind]))
        second = self._call(last, "chain", plain=True, catalogue=named | {result: made_kind_of(first.name)}, chained=result)
        if second is None:
            return None
        arguments: dict[str, Any] = {first.arguments[0].name: name}
        text = re.sub(rf"\b(it|the result|that|the output|{re.escape(result)})\b", target, second.situation.request)
        if first.name == "grid_trend":
            value = self._number(first.argument("spacing"))
            text += self.random.choice((", {} grid", " on a {} grid", ", {} cells", " with nodes every {}", ", grid spacing {}")).format(value)
            copied = self._copied(text, first.argument("spacing"), value)
            if copied is None:
                return None
            arguments["spacing"] = copied
        elif first.name == "bouguer_terrain":
            value = self._number(first.argument("density"))
            text = self.random.choice(("Bouguer at {0}, then {1}", "bouguer {0} and {1}", "{1}, after a Bouguer correction with {0}")).format(
                value, text
            )
            copied = self._copied(text, first.argument("density"), value)
            if copied is None:
                return None
            arguments["density"] = copied
        elif "Response" in named.values():
            arguments["response"] = next(n for n, k in named.items() if k == "Response")
        call = decision.write_call(first.name, arguments)
        facts = facts_of(first.name, kind, self.random)
        if facts is None:
            return None
        text = self._dress(text)
        if self.random.random() < 0.5:
            return Example(decision.Situation(text, named, []), call, "chain", first.name)
        done = decision.Done(1, call, result, facts)
        return Example(decision.Situation(text, named | {result: made_kind_of(first.name)}, [], [done]), second.reply, "chain", last.name)

    def stated_and(self) -> Example | None:
        """A premise in passing, and another question: the answer corrects the one and answers the other."""
        tool = self.tools[self.random.choice([name for name in INSPECTING if name in harvest()])]
        named, said, meant = self._data(tool)
        found = self._measured(tool, named, meant)
        if found is None or "=?" in found[1]:
            return None
        facts, call = found
        numeric = [key for key, q in facts.items() if isinstance(q.value, (int, float)) and not isinstance(q.value, bool) and q.value]
        if not numeric or len(facts) < 2:
            return None
        key = self.random.choice(numeric)
        other = self.random.choice([k for k in facts if k != key])
        quantity = facts[key]
        right = self.random.random() < 0.25
        value = quantity.value if right else self.random.choice([quantity.value * 2, quantity.value / 2, quantity.value + 50, quantity.value * 5])
        shown = f"{float(f'{value:.4g}'):g}" + (f" {quantity.unit}" if quantity.unit else "")
        what = self.random.choice((quantity.label or key, *SYNONYMS.get(key, ())))
        target = next(iter(said.values()), "the data")
        text = self._dress(self.random.choice(STATED).format(value=shown, what=what, of=target, more=self._wanted(facts[other], other)))
        written = next((q for q in quantities(text) if abs(_number(q, quantity.unit) - value) < 1e-6 * max(abs(value), 1)), None)
        if written is None:
            return None
        if self.random.random() < 0.35:
            return Example(decision.Situation(text, named, []), call, "correct", tool.name)
        every = facts_of(tool.name, self._kind(tool, named, meant), self.random) or facts
        done = decision.Done(1, call, "", every | facts)
        keys = [f'1.{key}!="{written}"', f"1.{other}"]
        return Example(decision.Situation(text, named, [], [done]), decision.write_answer(keys), "correct", tool.name)

    def correct(self) -> Example | None:
        """A wrong premise about a number that a tool has measured: the answer says what it is instead."""
        tool = self.tools[self.random.choice([name for name in INSPECTING if name in harvest()])]
        named, said, meant = self._data(tool)
        found = self._measured(tool, named, meant)
        if found is None:
            return None
        facts, call = found
        numeric = [key for key, q in facts.items() if isinstance(q.value, (int, float)) and q.label]
        if not numeric:
            return None
        key = self.random.choice(numeric)
        quantity = facts[key]
        right = self.random.random() < 0.3
        value = quantity.value if right else self.random.choice([quantity.value * 2, quantity.value / 2, quantity.value + 100, quantity.value * 10])
        shown = f"{float(f'{value:.4g}'):g}"
        target = next(iter(said.values()), "the data")
        unit = f" {quantity.unit}" if quantity.unit else ""
        text = self._dress(self.random.choice(PREMISES).format(value=shown + unit, what=quantity.label, of=target))
        situation = decision.Situation(text, named, [])
        if "=?" in call or self.random.random() < 0.3:
            return Example(situation, call, "ask" if "=?" in call else "correct", tool.name)
        done = [decision.Done(1, call, "", facts)]
        written = next((q for q in quantities(text) if abs(_number(q, quantity.unit) - value) < 1e-6 * max(abs(value), 1)), None)
        if written is None:
            return None
        keys = [f'1.{key}!="{written}"']  # whether it is right, code says
        return Example(replace(situation, done=done), decision.write_answer(keys), "correct", tool.name)

    def chain(self) -> Example | None:
        """Two or three calls in one request, at any step of them."""
        first = self._call(self.random.choice(list(self.tools.values())), "chain", plain=True)
        done = self._done(first, 1) if first else None
        if first is None or done is None:
            return None
        calls, dones, text, kinds = [first.reply], [done], first.situation.request, dict(first.situation.catalogue)
        for position in range(2, self.random.choice((3, 3, 4))):
            last = dones[-1]
            kind = made_kind(last, self.tools)
            follow = [
                t
                for t in self.tools.values()
                if kind and any(a.is_data and a.required and kind in {k.__name__ for k in a.kinds} for a in t.arguments)
            ]
            report = not last.result
            if report or not follow:
                follow = [t for t in self.tools.values() if t.discipline == self.tools[first.tool].discipline]
                if not follow:
                    break
            tool = self.random.choice(follow)
            before = dict(kinds) | ({last.result: kind} if last.result and kind else {})
            second = self._call(tool, "chain", plain=True, catalogue=before, chained="" if report else last.result)
            made = self._done(second, position) if second else None
            if second is None or made is None:
                break
            text += self.random.choice((", then ", " and then ", ". Then ", ", after that ", " and ", "; ")) + second.situation.request
            calls.append(second.reply)
            dones.append(made)
            kinds = before
        if len(calls) < 2:
            return None
        upto = self.random.randint(0, len(calls))
        shown = dict(first.situation.catalogue)
        for one in dones[:upto]:
            kind = made_kind(one, self.tools)
            if one.result and kind:
                shown[one.result] = kind
        situation = decision.Situation(self._dress(text), shown, [], dones[:upto])
        if upto < len(calls):
            return Example(situation, calls[upto], "chain", calls[upto].partition("(")[0])
        keys = [f"{one.id}.{key}" for one in dones for key in list(one.facts)[: 3 if one is dones[-1] else 1]]
        return Example(situation, decision.write_answer(keys[-4:]), "answer", calls[-1].partition("(")[0])

    def follow(self) -> Example | None:
        """The next turn of a conversation that changes one value or the data set of the last call."""
        first = self._call(self.random.choice([t for t in self.tools.values() if any(a.unit for a in t.arguments)]), "call")
        if first is None or "=?" in first.reply:
            return None
        tool = self.tools[first.tool]
        chosen = decision.read(first.reply)
        numeric = [a for a in tool.arguments if a.unit and not a.many and (a.required or a.name in chosen.arguments)]
        if not numeric:
            return None
        changed = self.random.sample(numeric, 1 if self.random.random() < 0.7 else min(2, len(numeric)))
        if {"low", "high"} <= {a.name for a in numeric} and self.random.random() < 0.6:
            changed = [a for a in numeric if a.name in ("low", "high")]
        values = {a.name: self._number(a) for a in changed}
        if len(values) == 2:
            (one, first_value), (two, second_value) = values.items()
            text = self.random.choice(("same again but {0}-{1}", "now {0} to {1}", "and with {0}, {1}?", "repeat with {0} and {1}")).format(
                first_value, second_value
            )
            del one, two
        else:
            name, value = next(iter(values.items()))
            text = self.random.choice(AGAIN).format(value=value, name=name.replace("_", " "))
        done = self._done(first, 1)
        shown = dict(first.situation.catalogue)
        kind = made_kind(done, self.tools) if done else ""
        if done and done.result and kind:
            shown[done.result] = kind
        situation = decision.Situation(self._dress(text, short=True), shown, [], [], [(first.situation.request, first.reply)])
        arguments: dict[str, Any] = dict(chosen.arguments)
        for argument in changed:
            copied = self._copied(text, argument, values[argument.name])
            if copied is None:
                return None
            arguments[argument.name] = copied
        ordered = {a.name: arguments[a.name] for a in tool.arguments if a.name in arguments}
        return Example(situation, decision.write_call(tool.name, ordered), "follow", tool.name)

    def given(self) -> Example | None:
        """The value or name a person gives after they were asked for it."""
        first = self.which() if self.random.random() < 0.3 else self.ask()
        if first is None or first.reply.count("=?") != 1:
            return None
        tool = self.tools[first.tool]
        chosen = decision.read(first.reply)
        name = next(key for key, value in chosen.arguments.items() if value == "?")
        argument = tool.argument(name)
        if argument.many or (argument.unit is None and not argument.is_data):
            return None
        if argument.is_data:
            fitting = [n for n, kind in first.situation.catalogue.items() if argument.takes(kind)]
            value = copied = self.random.choice(fitting)
            asked = f"Which {argument.label} is meant: {', '.join(fitting)}?"
        else:
            value, asked = self._number(argument), question(tool, argument)
            copied = ""
        text = self.random.choice(("{v}", "{v}", "{n} {v}", "use {v}", "{n} is {v}", "take {v}", "{v} please", "it's {v}")).format(
            v=value, n=name.replace("_", " ")
        )
        settled = copied or self._copied(text, argument, value)
        if settled is None:
            return None
        situation = decision.Situation(text, first.situation.catalogue, [], [], [(first.situation.request, asked[:120])])
        return Example(situation, decision.write_call(tool.name, dict(chosen.arguments) | {name: settled}), "follow", tool.name)

    def lacking(self) -> Example | None:
        """A call for which the project holds no data: the data are left open, and the guard says what is missing."""
        tool = self.random.choice([t for t in self.tools.values() if any(a.is_data and a.required for a in t.arguments)])
        kinds = {k.__name__ for a in tool.arguments if a.is_data for k in a.kinds}
        others = [k for k in NAMES if k not in kinds and k not in ("Report", "Blocks")]
        held = {self.random.choice(NAMES[kind]): kind for kind in self.random.sample(others, self.random.choice((0, 1, 2)))}
        example = self._call(tool, "lacking")
        if example is None or offer.maker(tool, set(held.values())):
            return None
        arguments = dict(decision.read(example.reply).arguments)
        for argument in tool.arguments:
            if argument.is_data and argument.name in arguments:
                name = arguments[argument.name]
                if name != "?" and name in example.situation.request:
                    return None  # a name that is not in the project is another matter
                arguments[argument.name] = "?"
                if not argument.required:
                    del arguments[argument.name]
        return Example(replace(example.situation, catalogue=held), decision.write_call(tool.name, arguments), "lacking", tool.name)

    def compared(self) -> Example | None:
        """How far a result moved against the one before it."""
        tool = self.random.choice([t for t in self.tools.values() if made_kind_of(t.name) in ("Catalogue", "Horizon", "Picks", "Seismic", "Grid")])
        kind = made_kind_of(tool.name)
        source = self._call(tool, "call")
        if source is None or "=?" in source.reply:
            return None
        one, two = f"{tool.name} 1", f"{tool.name} 2"
        named = dict(source.situation.catalogue) | {one: kind, two: kind}
        compare = load_tools()["compare"]
        says = compare.say[-HELD_OUT:] if self.held_out else compare.say[:-HELD_OUT]
        text = self.random.choice([*says, "how much did it move?", "and how far is that from the first?"]).format(first=one, second=two)
        call = decision.write_call("compare", {"first": one, "second": two})
        situation = decision.Situation(
            self._dress(text),
            named,
            [],
            [],
            [(source.situation.request, source.reply), (self.random.choice(AGAIN[:3]).format(value="5.8"), source.reply)],
        )
        if self.random.random() < 0.6:
            return Example(situation, call, "follow", "compare")
        facts = {
            key: Quantity(1.0, "", key)
            for key in {
                "Catalogue": ("moved", "depth_change"),
                "Seismic": ("rms_difference", "correlation"),
                "Grid": ("rms_difference", "correlation"),
            }.get(kind, ("mean_shift", "largest_shift"))
        }
        done = decision.Done(1, call, "", facts)
        return Example(replace(situation, done=[done]), decision.write_answer([f"1.{key}" for key in facts]), "answer", "compare")

    def refuse(self) -> Example | None:
        """A request that no tool serves."""
        named, _, _ = self._data(self.random.choice(list(self.tools.values())))
        outside = OUTSIDE[-8:] if self.held_out else OUTSIDE[:-8]
        return Example(decision.Situation(self._dress(self.random.choice(outside)), named, []), "refuse()", "refuse", "")

    def written(self) -> Example | None:
        """A request written whole, at any step of it."""
        one = self.random.choice(written(self.held_out))
        return self.play_written(one, self.random.randint(0, len(one.turn.steps)))

    def play_written(self, one: Written, upto: int) -> Example | None:
        """The decision of a written request after `upto` of its steps; None, with `why` said, where that cannot be made."""
        self.why = ""
        named: dict[str, str] = {}
        letters: dict[str, str] = {}
        for letter, kind in one.data.items():
            letters[letter] = self._fresh(kind, {name.casefold() for name in named})
            named[letters[letter]] = kind
        alone = {kind for kind in one.data.values() if list(one.data.values()).count(kind) == 1}
        said = {
            letter: self.random.choice(NOUNS[kind][:-1]) if kind in alone and self.random.random() < 0.4 else letters[letter]
            for letter, kind in one.data.items()
        }
        for _ in range(self.random.choice((0, 0, 1, 2))):
            kind = self.random.choice([k for k in NAMES if k not in named.values() and k not in ("Report", "Blocks")])
            named[self._fresh(kind, {name.casefold() for name in named})] = kind
        shown = dict(named)
        before, earlier = one.earlier, []
        if before is not None:
            first = self._steps(before, "e", letters, said, shown)
            if first is None:
                return None
            text, dones = first
            self._before = dones
            earlier = [(text, "; ".join(done.call for done in dones))]
        done = self._steps(one.turn, "", letters, said, shown, upto=upto)
        if done is None:
            return None
        text, dones = done
        situation = decision.Situation(text, shown, [], dones[:upto], earlier)
        if upto < len(one.turn.steps):
            call = dones[upto].call
            kind = "ask" if "=?" in call else "call" if len(one.turn.steps) == 1 else "chain"
            return self.settle(Example(situation, call, kind, call.partition("(")[0]))
        if not one.turn.steps:
            return self.settle(Example(situation, "refuse()", "refuse", ""))
        keys = []
        headline = [f"{len(dones)}.{key}" for key in list(dones[-1].facts)[:3]]  # where nothing in particular was asked for
        for key in dict.fromkeys([*one.answer, *one.beliefs] or headline):
            number, _, fact = key.partition(".")
            if fact not in dones[int(number) - 1].facts:
                self.why = f"step {number} has no fact {fact}; it has {', '.join(dones[int(number) - 1].facts)}"
                return None
            keys.append(f'{key}!="{self._believed[key]}"' if key in self._believed else key)
        if not keys:
            return None
        return self.settle(Example(situation, decision.write_answer(keys), "correct" if one.beliefs else "answer", one.turn.steps[-1][0]))

    def _steps(
        self, turn: Turn, mark: str, letters: dict[str, str], said: Mapping[str, str], shown: dict[str, str], upto: int | None = None
    ) -> tuple[str, list[decision.Done]] | None:
        """The text of a turn and its steps. What the first `upto` made is added to `shown`, and to `letters` by their numbers."""
        slots: dict[str, str] = {}
        for number, (name, _) in enumerate(turn.steps, 1):
            tool = load_tools()[name]
            wanted = [a for a in tool.arguments if f"{{{mark}{number}.{a.name}}}" in turn.say]
            values = {a.name: self._list(a) if a.many else self._number(a) for a in wanted if a.unit is not None}
            free = {a.name: FREE.get(f"{name}.{a.name}") or FREE.get(a.name) or ("",) for a in wanted if a.unit is None}
            values = self._ordered(values) | {key: self.random.choice(words) for key, words in free.items()}
            slots |= {f"{mark}{number}.{key}": value for key, value in values.items()}
        facts: list[dict[str, Quantity]] = []
        kinds = dict(shown)
        names = dict(letters)
        for number, (name, arguments) in enumerate(turn.steps, 1):
            tool = load_tools()[name]
            data = next((arguments[a.name] for a in tool.arguments if a.is_data and a.name in arguments), "")
            on = kinds.get(names.get(str(data[0] if isinstance(data, list) else data), ""), "")
            facts.append((facts_of(name, on, self.random) if name in harvest() else None) or {})
            result = next(f"{name} {i}" for i in range(1, 9) if f"{name} {i}" not in kinds)
            if made := made_kind_of(name, on):
                names[f"{mark}{number}"] = result
                kinds[result] = made
        text = turn.say
        believed: dict[str, float] = {}
        for whole, asked, step, key, letter in ((m[0], *m.groups()) for m in SLOT.finditer(turn.say)):
            if letter:
                text = text.replace(whole, said[letter])
            elif asked:
                quantity = facts[int(step) - 1].get(key)
                if quantity is None or not isinstance(quantity.value, (int, float)):
                    self.why = f"step {step} has no single number {key}; it has {', '.join(facts[int(step) - 1])}"
                    return None
                value = quantity.value * self.random.choice((1.0, 1.0, 2.0, 0.5, 3.0))
                value = round(value) if isinstance(quantity.value, int) else value
                shown_as = f"{value:g}" + (f" {quantity.unit}" if quantity.unit else "")
                believed[f"{step}.{key}"] = float(f"{value:g}")
                text = text.replace(whole, shown_as)
            else:
                text = text.replace(whole, slots.get(f"{step}.{key}", ""))
        text = self._dress(text, short=len(text) > 160)
        self._believed = {}
        for key, value in believed.items():
            unit = facts[int(key[0]) - 1][key.partition(".")[2]].unit
            stood = next((q for q in quantities(text) if abs(_number(q, unit) - value) <= 1e-5 * max(abs(value), 1)), None)
            if stood is None:
                self.why = f"the belief about {key} cannot be read back from {text!r}"
                return None
            self._believed[key] = stood
        dones: list[decision.Done] = []
        for number, (name, arguments) in enumerate(turn.steps, 1):
            tool = load_tools()[name]
            chosen: dict[str, Any] = {}
            for argument in tool.arguments:
                said_of = arguments.get(argument.name)
                if argument.is_data and said_of is not None:
                    parts = [names.get(str(part), MARK) for part in (said_of if isinstance(said_of, list) else [said_of])]
                    chosen[argument.name] = ", ".join(parts)
                elif str(said_of).startswith("=e"):
                    chosen[argument.name] = decision.read(self._before[int(str(said_of)[2:]) - 1].call).arguments.get(argument.name)
                elif said_of is not None:
                    chosen[argument.name] = str(said_of)
                elif (slot := f"{mark}{number}.{argument.name}") in slots:
                    copied = slots[slot] if argument.unit is None else self._copied(text, argument, slots[slot])
                    if copied is None:
                        self.why = f"{{{slot}}} = {slots[slot]!r} cannot be copied from {text!r}"
                        return None
                    chosen[argument.name] = copied
                elif argument.required:
                    chosen[argument.name] = MARK
            result = names.get(f"{mark}{number}", "")
            dones.append(decision.Done(number, decision.write_call(name, chosen), result, facts[number - 1]))
        for number, done in enumerate(dones if upto is None else dones[:upto], 1):
            if "=?" in done.call or not done.facts:
                self.why = f"step {number} is left open or its numbers are not known, so nothing can follow it"
                return None
            if done.result:
                shown[done.result] = kinds[done.result]
                letters[f"{mark}{number}"] = done.result
        return text, dones

    def repeat(self) -> Example | None:
        """After a call that was made already: the answer."""
        example = self.stated()
        if example is None:
            return None
        done = example.situation.done[0]
        again = decision.Done(0, done.call, "", {}, "step 1 has done exactly this; answer from its result")
        return replace(example, situation=replace(example.situation, done=[done, again]), kind="recover")


SHARES = {
    "single": 50,
    "ask": 12,
    "which": 6,
    "stated": 20,
    "asked": 14,
    "asked_two": 8,
    "asked_then": 10,
    "several": 14,
    "implied": 9,
    "stated_and": 7,
    "correct": 6,
    "chain": 20,
    "follow": 9,
    "given": 5,
    "lacking": 3,
    "compared": 2,
    "refuse": 4,
    "written": 160,
    "repeat": 1,
}


def _nearest(facts: Mapping[str, Quantity], request: str) -> list[str]:
    """The numbers whose labels share most words with the request; the first where none does."""
    words = {word for word in re.findall(r"[a-z]{4,}", request.lower())}
    shared = {key: len(words & set(re.findall(r"[a-z]{4,}", f"{q.label} {key}".lower()))) for key, q in facts.items()}
    most = max(shared.values(), default=0)
    return [key for key, count in shared.items() if count == most][: 2 if most else 1]


def _number(written: str, unit: str) -> float:
    try:
        return parse(written, Unit(unit))
    except ValueError:
        return float("nan")


def card(examples: Sequence[Example]) -> dict[str, Any]:
    """Counts by kind and tool, for the data card."""
    return {"examples": len(examples), "kinds": dict(Counter(e.kind for e in examples)), "tools": dict(Counter(e.tool for e in examples))}


def uncontaminated(examples: Sequence[Example], requests: Sequence[str]) -> list[Example]:
    """The examples that share no run of words with a request of an evaluation."""
    shared = contaminated(examples, requests)
    return [example for example in examples if not contaminated([example], shared)] if shared else list(examples)


def contaminated(examples: Sequence[Example], requests: Sequence[str], longest: int = 8) -> list[str]:
    """The requests of an evaluation that share a run of `longest` words with a training request."""

    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + longest]) for i in range(len(words) - longest + 1)}

    seen: set[tuple[str, ...]] = set().union(*(runs(example.situation.request) for example in examples)) if examples else set()
    return [request for request in requests if runs(request) & seen]
