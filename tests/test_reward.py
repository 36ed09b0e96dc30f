"""The judge of replies: branches do not see each other, it learns to prefer the right reply, and its report tells what it can be trusted with."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_project import quick_choice

from moho.agent import decision
from moho.agent.better import allowed, meant_alike
from moho.agent.registry import load_tools
from moho.errors import DataError
from moho.rl import contrasts, reward
from moho.rl.contrasts import HUMAN, MADE, Choice, choices
from moho.rl.instructions import Example
from moho.rl.sft import options
from moho.units import Quantity

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # peft asks transformers by the old name
TEMPLATE = "{% for m in messages %}<s>{{ m['content'] }}\n{% endfor %}<s>"


FACTS = {"traces": 12, "dead_traces": 1, "samples": 400, "sampling": 0.002, "clipped": 3}


@pytest.fixture(scope="module", autouse=True)
def _near() -> Any:
    """Kinds of decision that need no results of tools, and no sentence encoder: both take long to get."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moho.rl.instructions.SHARES", {"single": 6, "ask": 3, "which": 1, "refuse": 1})
        patch.setattr("moho.agent.offer.choose", lambda request, kinds, *more, **others: quick_choice(request, kinds))
        patch.setattr("moho.agent.offer.rank", lambda *words: sorted(load_tools()))
        yield


@pytest.fixture(scope="module")
def made(_near: Any) -> list[Choice]:
    chooser = random.Random(2)
    answers = []
    for example in (asked(chooser) for _ in range(60)):
        found = contrasts.contrasts(example, chooser)
        answers.append(Choice(example.situation, example.reply, chooser.sample(found, min(3, len(found)))))
    return [*choices(5, 180), *answers]


def asked(chooser: random.Random) -> Example:
    """A question about a line that its quality control has answered."""
    keys = chooser.sample([*FACTS][1:], chooser.choice((1, 2)))
    facts = {key: Quantity(value, "", key.replace("_", " ")) for key, value in FACTS.items()}
    done = decision.Done(1, 'trace_qc(line="line 12")', "", facts)
    request = f"in line 12: {' and '.join(key.replace('_', ' ') for key in keys)}?"
    situation = decision.Situation(request, {"line 12": "Seismic", "A-1": "Well"}, ["trace_qc", "segy_inspect", "las_inspect"], [done])
    return Example(situation, decision.write_answer([f"1.{key}" for key in keys]), "answer", "trace_qc")


@pytest.fixture(scope="module")
def base(made: list[Choice], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two layers with a vocabulary of its own, as the embedded one lies in its folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base")
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    texts = [message["content"] for choice in made[:60] for message in decision.prompt(choice.situation)]
    special = ["<s>", "</s>"]
    plain.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=800, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=TEMPLATE)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=2048,
        tie_word_embeddings=True, initializer_range=0.1,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


# -- made choices


def test_every_way_of_being_wrong_is_made_and_none_is_right(made: list[Choice]) -> None:
    ways = {way for choice in made for way, _ in choice.worse}
    wanted = {"dropped", "swapped", "wrong value", "asked", "not asked", "wrong data", "extra", "wrong tool", "refused", "wrong key", "not refused"}
    wanted |= {"too much", "too little", "repeated"}
    assert wanted <= ways
    for choice in made:
        assert all(not meant_alike(reply, choice.better) for _, reply in choice.worse)
        assert len({reply for _, reply in choice.worse}) == len(choice.worse)


def test_wrong_replies_are_such_that_the_model_could_give_them(made: list[Choice]) -> None:
    for choice in made[:60]:
        assert all(allowed(choice.situation, reply) for _, reply in choice.worse)


def test_what_was_measured_apart_is_not_learned_from(made: list[Choice]) -> None:
    held = {choice.situation.request for choice in choices(99, 40, held_out=True)}
    assert len(held & {choice.situation.request for choice in made}) <= 2


def test_the_contrasts_of_a_call_are_of_the_kind_they_are_called() -> None:
    situation = decision.Situation("bandpass line 12 8-45 Hz", {"line 12": "Seismic", "line 14": "Seismic"}, ["bandpass", "gain_agc"])
    example = Example(situation, 'bandpass(line="line 12", low="8 Hz", high="45 Hz")', "call", "bandpass")
    found = dict(contrasts.contrasts(example, random.Random(1)))
    assert "swapped" not in found  # the grammar gives the lower corner to `low`
    assert found["asked"] == 'bandpass(line=?, low="8 Hz", high="45 Hz")'  # what was said cannot be asked for
    assert found["refused"] == "refuse()"
    assert decision.read(found["wrong tool"]).name in set(example.situation.tools) - {"bandpass"}
    clay = decision.Situation("Vsh of A-1, 25 and 115 API", {"A-1": "Well"}, ["vshale"])
    example = Example(clay, 'vshale(well="A-1", clean="25 API", shale="115 API")', "call", "vshale")
    swapped = decision.read(dict(contrasts.contrasts(example, random.Random(1)))["swapped"]).arguments
    assert (swapped["clean"], swapped["shale"]) == ("115 API", "25 API")


# -- the model


def test_branches_are_scored_as_if_each_stood_alone(base: Path, made: list[Choice]) -> None:
    """The log-probability of the choices in a reply under its grammar, by transformers' own causal mask, and the head's word."""
    tokenizer, model = reward._loaded(base, None)
    torch.nn.init.normal_(model.score.weight)
    model = model.float()
    judge = reward.Judge(tokenizer, model)
    plain = copy.deepcopy(model)
    plain.set_attn_implementation("eager")
    for choice in made[:5]:
        replies = [choice.better, *(reply for _, reply in choice.worse)]
        together = judge.scores(choice.situation, replies)
        prompt = tokenizer.apply_chat_template(decision.prompt(choice.situation), add_generation_prompt=True, return_dict=False)
        for line, found in zip(replies, together, strict=True):
            assert found == pytest.approx(judge.scores(choice.situation, [line])[0], abs=1e-5)
            reply = [*tokenizer.encode(line, add_special_tokens=False), tokenizer.eos_token_id]
            with torch.inference_mode():
                hidden = plain.model(input_ids=torch.tensor([prompt + reply])).last_hidden_state[0]
                wanted = float(plain.score(hidden[-1])[0])
                for at, (token, allowed) in enumerate(zip(reply, options(judge.compiler, choice.situation, reply), strict=True)):
                    logits = plain.model.embed_tokens.weight[allowed] @ hidden[len(prompt) + at - 1]
                    wanted += float(logits.log_softmax(0)[allowed.index(token)])
            assert found == pytest.approx(wanted, abs=1e-4)


def test_a_small_model_learns_to_prefer_the_right_reply(base: Path, made: list[Choice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {"refused", "asked", "repeated"}  # a random model of two layers learns no more than this in seconds
    kept_ways = [replace(c, worse=[one for one in c.worse if one[0] in plain]) for c in [*choices(77, 80, held_out=True), *made]]
    kept_ways = [choice for choice in kept_ways if choice.worse]
    held, learned = kept_ways[:60], kept_ways[60:180]
    settings = reward.Settings(rank=16, alpha=32, layers=(0, 2), rate=3e-3, batch=8, epochs=3, minutes=2.0)
    card = reward.train(learned, settings, tmp_path / "judge", held_out=held, base=base)
    tokenizer, fresh = reward._loaded(base, None)
    before = reward.examine(reward.Judge(tokenizer, fresh), held)["made"]
    print(before, card["held_out"])
    assert card["held_out"]["made"] > max(0.85, before + 0.1)
    assert card["loss_first_last"][1] < card["loss_first_last"][0]
    kept = reward.load(tmp_path / "judge", base=base)
    again = reward.examine(kept, held)
    assert again["made"] == pytest.approx(card["held_out"]["made"], abs=0.03)  # merged in bf16
    assert kept.temperature == card["temperature"]


def test_a_judge_of_another_base_or_with_other_weights_is_refused(base: Path, made: list[Choice], tmp_path: Path) -> None:
    import shutil

    settings = reward.Settings(rank=2, layers=(1, 2), batch=8, minutes=0.5)
    reward.train(made[:16], settings, tmp_path / "judge", base=base)
    shutil.copytree(base, tmp_path / "other")
    (tmp_path / "other" / "tokenizer.json").write_text((base / "tokenizer.json").read_text() + " ")
    with pytest.raises(DataError, match="tokenizer"):
        reward.load(tmp_path / "judge", base=tmp_path / "other")
    damaged = bytearray((tmp_path / "judge" / reward.WEIGHTS).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "judge" / reward.WEIGHTS).write_bytes(bytes(damaged))
    with pytest.raises(DataError, match="card"):
        reward.load(tmp_path / "judge", base=base)
    with pytest.raises(DataError, match="at least"):
        reward.train(made[:3], settings, tmp_path / "few", base=base)


# -- what is said of it


class Scored:
    """A judge that scores by a function of the reply."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def scores(self, situation: decision.Situation, replies: list[str]) -> list[float]:
        return [self.function(situation, reply) for reply in replies]


def test_a_judge_of_length_alone_is_found_out(made: list[Choice]) -> None:
    report = reward.examine(Scored(lambda situation, reply: float(len(reply))), made)
    assert report["accuracy"]["better is longer"]["share"] == 1.0
    assert report["accuracy"]["better is shorter"]["share"] == 0.0
    assert report["correlation"]["length"]["score"] == pytest.approx(1.0)
    assert abs(report["correlation"]["length"]["truth"]) < 0.9


def test_a_judge_that_knows_is_right_on_both_sides_of_length(made: list[Choice]) -> None:
    right = {id(choice.situation): choice.better for choice in made}
    report = reward.examine(Scored(lambda situation, reply: 2.0 * (right[id(situation)] == reply)), made)
    assert report["made"] == 1.0
    assert report["human"] is None
    assert all(row["share"] == 1.0 for row in report["accuracy"].values() if row["pairs"])


def test_length_alone_earns_nothing_in_training(made: list[Choice]) -> None:
    weights = reward.balanced(made)
    longer = sum(w for c, ws in zip(made, weights, strict=True) for (_, r), w in zip(c.worse, ws, strict=True) if len(c.better) > len(r))
    shorter = sum(w for c, ws in zip(made, weights, strict=True) for (_, r), w in zip(c.worse, ws, strict=True) if len(c.better) < len(r))
    assert longer == pytest.approx(shorter)
    assert reward.balanced([made[0]])[0]


def test_choices_of_people_are_counted_apart(made: list[Choice]) -> None:
    human = [Choice(c.situation, c.worse[0][1], [(HUMAN, c.better)], HUMAN) for c in made[:10]]
    right = {id(choice.situation): choice.better for choice in made}
    report = reward.examine(Scored(lambda situation, reply: float(right[id(situation)] == reply)), [*made, *human])
    assert (report["made"], report["human"]) == (1.0, 0.0)
    assert report["accuracy"][HUMAN]["pairs"] == 10
    assert report["accuracy"][MADE]["pairs"] == sum(len(c.worse) for c in made)


def test_temperature_and_calibration_error_are_those_of_a_known_chance() -> None:
    random_ = np.random.default_rng(0)
    true = random_.normal(0, 2, 40_000)
    right = random_.random(true.size) < 1 / (1 + np.exp(-true))
    signed = np.where(right, true, -true)  # the better side's score less the other's
    assert reward.calibration_error(signed) < 0.01
    assert reward.temperature(3 * signed) == pytest.approx(3.0, rel=0.06)
    assert reward.calibration_error(3 * signed) > 0.08
    assert reward.calibration_error(np.full(100, 50.0)) < 1e-9


# -- the command


def test_the_command_learns_from_people_too_and_measures_them_apart(
    made: list[Choice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.testing import CliRunner

    from moho.agent.decisions import Decided
    from moho.agent.feedback import BAD, Feedback, Said
    from moho.rl import commands

    monkeypatch.setenv("MOHO_HOME", str(tmp_path / "home"))
    calls = [choice for choice in made if choice.better.endswith(")") and choice.source == MADE][:20]
    for i, choice in enumerate(calls):
        one = Decided(1, choice.situation, choice.worse[0][1])
        Feedback().add(Said("ann", "/p", f"r{i}", BAD, choice.better, [one], 1, choice.better))
    monkeypatch.setattr(contrasts, "choices", lambda seed, count, **more: iter(made[:30]))
    seen: dict[str, Any] = {}

    def train(learned: Any, settings: Any, out: Path, *, held_out: Any, start: Any) -> dict[str, Any]:
        seen["learned"], seen["held"] = learned, held_out
        report = reward.examine(Scored(lambda situation, reply: float(len(reply))), held_out)
        return {"held_out": report, "steps": 1, "loss_first_last": [1.0, 0.5], "minutes": 0.0}

    monkeypatch.setattr(reward, "train", train)
    shown = CliRunner().invoke(commands.train, ["reward", "--preset", "micro", "--feedback", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "human" in shown.output
    ours = [choice.situation.request for choice in seen["learned"] if choice.source == HUMAN]
    theirs = [choice.situation.request for choice in seen["held"] if choice.source == HUMAN]
    assert ours
    assert theirs
    assert not set(ours) & set(theirs)
