"""The plans of the agents that work on systems and texts: reviews, operations, agreements."""

from __future__ import annotations

from watchkeeper.demo.plans.conversation import Conversation, Step, call, stop

FINDINGS = (
    ("range(3)", "The loop gives up without a word after the third timeout; raise at its end."),
    ("@cache", "Nothing empties this cache, so a session that was signed out stays valid."),
    ("yield_per", "The connection now stays open while the caller writes; read in pages."),
    ("ROUND_HALF_EVEN", "Please add a case whose total ends in half a cent."),
    ("escape(", "Good. The subject line needs the same treatment."),
    ("compare_digest", "Good, nothing to add."),
)


def review(chat: Conversation) -> Step:
    """Read the change and the file, comment once. Some changes make it read for ever."""
    change_id = chat.item["change"]
    change = chat.last("repo.read_change")
    if change is None:
        return call("repo.read_change", "I read the change.", change_id=change_id)
    if change.refused:
        return stop(f"FAILED: I could not read the change: {change.refused}")
    reads = [r for r in chat.results if r.tool == "repo.read_file"]
    if not reads or (chat.item.get("temper") == "loops" and not reads[-1].refused):
        return call(
            "repo.read_file",
            "I need the file around it." if not reads else "Let me read that file once more.",
            path=change.data["path"],
        )
    if reads[-1].refused:
        return stop(f"FAILED: I could not read the file: {reads[-1].refused}")
    commented = chat.last("repo.comment_on_change")
    if commented is None:
        diff = str(change.data["diff"])
        text = next((say for mark, say in FINDINGS if mark in diff), "Looks right.")
        return call(
            "repo.comment_on_change", "One remark is enough.", change_id=change_id, text=text
        )
    if commented.refused:
        return stop(f"FAILED: I could not comment: {commented.refused}")
    return stop("Commented; the decision to merge is the team's.")


def operate(chat: Conversation) -> Step:
    """Look at the service and its figures, then apply the runbook's remedy."""
    service, fix = chat.item["service"], chat.item["fix"]
    described = chat.last("cloud.describe_service")
    if described is None:
        return call("cloud.describe_service", "What runs there now?", service=service)
    metrics = chat.last("cloud.read_metrics")
    if metrics is None:
        return call("cloud.read_metrics", "What do the figures say?", service=service)
    if described.refused or metrics.refused:
        return stop(f"FAILED: {described.refused or metrics.refused}")
    tool = {
        "restart": "cloud.restart_service",
        "scale": "cloud.scale_service",
        "roll back": "cloud.roll_back",
    }.get(fix)
    if tool is None:
        return stop("Slow, but inside the limits and not from a deployment. I leave it alone.")
    done = chat.last(tool)
    if done is not None:
        return stop(f"FAILED: {done.refused}" if done.refused else f"Done: {fix} of {service}.")
    if tool == "cloud.scale_service":
        replicas = int(described.data["replicas"]) + 1
        return call(tool, "One more replica empties the queue.", service=service, replicas=replicas)
    if tool == "cloud.roll_back":
        return call(
            tool,
            "The errors began with the deployment, so the version before goes back in.",
            service=service,
            to_version=described.data["previous_version"],
        )
    return call(
        tool, "A restart frees the memory; the cause needs a ticket of its own.", service=service
    )


def summarise(chat: Conversation) -> Step:
    """Read an agreement, file a summary, send it to the vendor where that is asked for."""
    agreement_id = chat.item["agreement"]
    agreement = chat.last("documents.read_agreement")
    if agreement is None:
        return call(
            "documents.read_agreement", "I read the whole agreement.", agreement_id=agreement_id
        )
    if agreement.refused:
        return stop(f"FAILED: I could not read the agreement: {agreement.refused}")
    saved = chat.last("documents.save_summary")
    summary = _summary(chat)
    if saved is None:
        return call(
            "documents.save_summary",
            "Here is what matters in it.",
            agreement_id=agreement_id,
            text=summary,
        )
    if saved.refused:
        return stop(f"FAILED: The summary was not filed: {saved.refused}")
    if not chat.item["send"]:
        return stop("Filed the summary.")
    sent = chat.last("mail.send_summary")
    if sent is None:
        return call(
            "mail.send_summary",
            f"Purchasing asked that {agreement.data['vendor']} confirms our reading.",
            agreement_id=agreement_id,
            to=f"{agreement.data['vendor']}@vendor.example",
            text=summary,
        )
    return stop(f"FAILED: Not sent: {sent.refused}" if sent.refused else "Filed and sent.")


def _summary(chat: Conversation) -> str:
    agreement = chat.last("documents.read_agreement")
    data = agreement.data if agreement else {}
    notes = "\n".join(f"- {note}" for note in data.get("margin_notes", ()))
    return (
        f"{data.get('trade', '')}, {data.get('yearly_usd', 0):,} dollars a year, "
        f"{data.get('term_months')} months, {data.get('notice_days')} days' notice.\n{notes}"
    )
