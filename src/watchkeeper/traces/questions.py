"""The questions that the plane knows how to answer about what happened."""

from __future__ import annotations

from watchkeeper.wire.asking import Asked

QUESTIONS = (
    Asked(
        name="spike",
        asks="Which version of which agent made cost, calls, refusals or errors rise, against "
        "the period before?",
        parameters=("measure", "by", "agent", "since", "until"),
        example="watchkeeper ask spike cost --since 24h --by model",
    ),
    Asked(
        name="touched",
        asks="Which agents touched a class of data since when, how often, in which runs?",
        parameters=("data", "since", "until"),
        example="watchkeeper ask touched email --since 24h",
    ),
    Asked(
        name="rested-on",
        asks="What did the output of a run, or one step of it, rest on: results, retrieved "
        "context, memory, approvals, versions, policies?",
        parameters=("run or step",),
        example="watchkeeper ask rested-on dec_01h…",
    ),
)
