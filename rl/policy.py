"""How a policy plays: turns and episodes, the environment that asks for them, and sampling under a grammar.

A turn is one decision: the tokens of a prompt, and the reply sampled token by token from the model's distribution over what the grammar
allows there. Where it allows one token only, or forces a text, nothing is sampled and nothing can be learned: those tokens are not the
policy's own. Learning from the turns is elsewhere (`moho.rl.ppo`), and so is what a reply does and is worth (an `Environment`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from moho.agent.embedded import Reader
from moho.errors import MohoError

Words = NDArray[np.int32]  # bitmask of a vocabulary as xgrammar makes it: token t is bit t % 32 of word t // 32


class Diverged(MohoError):
    """Training has to stop: its numbers say that going on makes the policy worse."""

    def __init__(self, message: str) -> None:
        super().__init__("E_DATA", message, "The last good adapter is kept.")

    def __reduce__(self) -> tuple[type, tuple]:
        return type(self), (self.message,)


@dataclass(frozen=True)
class Turn:
    """One decision. `allowed` and `logprob` have an entry for each token of `reply`; None where any token was allowed."""

    prompt: Sequence[int]
    reply: Sequence[int]
    allowed: Sequence[Words | None]
    logprob: Sequence[float]  # at the temperature and under the mask it was sampled with
    reward: float = 0.0  # given right after this turn
    sure: float = 1.0  # probability from which a choice is as good as none

    @property
    def own(self) -> list[int]:
        """Positions in the reply where the policy had a choice, and was not sure of it: of the others next to nothing can be learned."""
        chosen = (i for i, words in enumerate(self.allowed) if words is None or count(words) > 1)
        return [i for i in chosen if self.sure >= 1 or self.logprob[i] < math.log(self.sure)]


@dataclass(frozen=True)
class Episode:
    """A request played to its end. Its return is `reward`, which comes last, and the rewards of the turns."""

    turns: Sequence[Turn]
    reward: float
    parts: Mapping[str, float] = field(default_factory=dict)  # what the reward is made of, for the log

    @property
    def total(self) -> float:
        return self.reward + sum(turn.reward for turn in self.turns)


class Environment(Protocol):
    """What a policy is trained in."""

    def play(self, policy: Policy, seeds: Sequence[int]) -> list[Episode]:
        """An episode for each seed. The same policy and seeds must give the same episodes: a run resumed after a kill relies on it."""
        ...


class Constraint(Protocol):
    """What a reply may be, as it grows."""

    def allowed(self) -> Words | None:
        """The tokens that may come next, None for any."""
        ...

    def accept(self, token: int) -> bool:
        """Take a token; whether more is to come."""
        ...


class Policy:
    """A model that replies by sampling, batch of one, as the agent plays.

    Random numbers come from the caller's generator, so that an episode depends on its seed and the weights alone.
    """

    def __init__(self, reader: Reader, temperature: float = 1.0, longest: int = 160, sure: float = 1.0) -> None:
        self.reader, self.temperature, self.longest, self.sure = reader, temperature, longest, sure

    @property
    def vocabulary(self) -> int:
        return self.reader.vocabulary

    def reply(self, prompt: Sequence[int], constraint: Constraint, generator: np.random.Generator) -> Turn:
        """A sampled reply of at most `longest` tokens."""
        reply: list[int] = []
        allowed: list[Words | None] = []
        logprob: list[float] = []
        more = True
        while more and len(reply) < self.longest:
            words = constraint.allowed()
            rows = None if words is None else np.flatnonzero(unpack(words, self.vocabulary))
            token, value = (int(rows[0]), 0.0) if rows is not None and len(rows) == 1 else self._sample([*prompt, *reply], rows, generator)
            reply.append(token)
            allowed.append(words)
            logprob.append(value)
            more = constraint.accept(token)
        return Turn(tuple(prompt), tuple(reply), tuple(allowed), tuple(logprob), sure=self.sure)

    def _sample(self, ids: Sequence[int], rows: NDArray[np.int64] | None, generator: np.random.Generator) -> tuple[int, float]:
        """A token after `ids`, of all or of those in `rows`, and its log-probability, by inversion of the cumulative distribution."""
        import torch

        logits = self.reader.after(ids, None if rows is None else torch.from_numpy(rows))
        scaled = logits.double().numpy() / self.temperature
        scaled -= scaled.max()
        cumulative = np.cumsum(np.exp(scaled))
        if not np.isfinite(cumulative[-1]):
            raise Diverged("the policy's distribution is not a number")
        place = int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right"))
        return place if rows is None else int(rows[place]), float(scaled[place] - np.log(cumulative[-1]))


class Grammar:
    """The constraint of an xgrammar matcher; text that it forces is taken as the agent's decoding takes it (`moho.agent.embedded`)."""

    def __init__(self, matcher: Any, tokenizer: Any, vocabulary: int) -> None:
        import xgrammar

        self.matcher, self.tokenizer, self.vocabulary = matcher, tokenizer, vocabulary
        self._bitmask = xgrammar.allocate_token_bitmask(1, vocabulary)
        self._forced: list[int] = []  # taken by the matcher, not yet asked for

    def allowed(self) -> Words:
        if self._forced:
            return only(self._forced[0], self.vocabulary)
        self.matcher.fill_next_token_bitmask(self._bitmask)
        words: Words = self._bitmask[0].numpy().copy()
        return words

    def accept(self, token: int) -> bool:
        if self._forced:
            self._forced.pop(0)
        elif not self.matcher.accept_token(token):
            raise ValueError(f"token {token} is not allowed here")
        elif token != self.tokenizer.eos_token_id and (text := self.matcher.find_jump_forward_string()):
            # The last token of a forced text may merge with what follows it: that one is sampled.
            for one in self.tokenizer.encode(text, add_special_tokens=False)[:-1]:
                if not self.matcher.accept_token(one):
                    break
                self._forced.append(one)
        return bool(self._forced) or not self.matcher.is_terminated()


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike.

    >>> common([1, 2, 3], [1, 2, 4])
    2
    """
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def count(words: Words) -> int:
    """How many tokens a bitmask allows."""
    return int(np.bitwise_count(words.view(np.uint32)).sum())


def unpack(words: Words, vocabulary: int) -> NDArray[np.bool_]:
    """A bitmask as one bool a token.

    >>> unpack(np.array([5], np.int32), 4).tolist()
    [True, False, True, False]
    """
    return np.unpackbits(words.view(np.uint8), count=vocabulary, bitorder="little").astype(bool)


def pack(tokens: Sequence[int], vocabulary: int) -> Words:
    """The bitmask that allows these tokens."""
    bits = np.zeros(-(-vocabulary // 32) * 32, bool)
    bits[list(tokens)] = True
    return np.packbits(bits, bitorder="little").view(np.int32)


def only(token: int, vocabulary: int) -> Words:
    """The bitmask that allows one token."""
    return pack([token], vocabulary)
