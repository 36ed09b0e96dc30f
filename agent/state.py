"""What a conversation's checkpoint holds: text and names, never arrays."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages


class Conversation(TypedDict, total=False):
    """The state of one thread. All but `messages` belongs to the request under way."""

    messages: Annotated[list[AnyMessage], add_messages]
    run: str  # id of the run under way
    runs: Annotated[list[str], operator.add]  # ids of all runs of this thread
    focus: list[str]  # data sets the thread is about; absent for the whole project
    status: str  # "" while under way, then answered | question | refused | failed
    answer: str
    about: list[str]  # what a question is about
    candidates: list[str]
    code: str  # of a refusal or failure
    numbers: list[dict[str, Any]]
    attempts: int  # replies that could not be carried out, in a row
    sent_back: bool  # whether an answer with unbound numbers has gone back already
    turns: int  # model replies used
    owed: list[str]  # a clause left undone and the tool it asks for, while the model is asked for it
    asked: list[str]  # clauses it was asked for already
    draft: str  # its answer before that
