"""An agent for LangGraph's server: it waits for a person, works for long, or asks its own way.

`mode` of the input says which; `log` is what it did, and `said` what it was answered.
"""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

REFUND = {"name": "stripe.refund", "args": {"amount_usd": 40}, "description": "refund order 7"}


class State(TypedDict, total=False):
    mode: str
    log: Annotated[list[str], operator.add]
    said: Any


def route(state: State) -> str:
    return state.get("mode", "ask")


def ask(state: State) -> State:
    """As LangChain's HumanInTheLoopMiddleware asks."""
    decisions = ["approve", "edit", "reject"]
    config = {"action_name": "stripe.refund", "allowed_decisions": decisions}
    said = interrupt({"action_requests": [REFUND], "review_configs": [config]})
    return {"said": said}


def ask_plainly(state: State) -> State:
    return {"said": interrupt("shall I go on?")}


def act(state: State) -> State:
    return {"log": ["acted"]}


async def slow(state: State) -> State:
    for _ in range(3000):
        await asyncio.sleep(0.1)
    return {"log": ["slow ended"]}


builder = StateGraph(State)
builder.add_node("ask", ask)
builder.add_node("plain", ask_plainly)
builder.add_node("act", act)
builder.add_node("slow", slow)
builder.add_conditional_edges(START, route, ["ask", "plain", "slow"])
builder.add_edge("ask", "act")
builder.add_edge("plain", "act")
builder.add_edge("act", END)
builder.add_edge("slow", END)
graph = builder.compile()
