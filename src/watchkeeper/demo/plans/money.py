"""The plans of the agents that move money: refunds, loans, card alerts."""

from __future__ import annotations

from watchkeeper.demo.plans.conversation import Conversation, Step, call, stop

LOWEST_SCORE = 600
HIGHEST_SHARE = 0.6


def refund(chat: Conversation) -> Step:
    """Read the ticket, look the charge up, pay back what is left of it."""
    ticket = chat.last("zendesk.read_ticket")
    if ticket is None:
        return call(
            "zendesk.read_ticket", "I read what the customer wrote.", ticket_id=chat.item["ticket"]
        )
    charge = chat.last("stripe.lookup_charge")
    if charge is None:
        charge_id = ticket.data.get("charge_id") or chat.item["object"]["id"]
        return call(
            "stripe.lookup_charge", "I look the charge up before anything.", charge_id=charge_id
        )
    if charge.refused:
        return stop(f"FAILED: I could not read the charge: {charge.refused}")
    left = round(charge.data["amount_usd"] - charge.data["refunded_usd"], 2)
    if left <= 0:
        return stop("The charge was paid back in full before; nothing is left to do.")
    paid = chat.last("stripe.create_refund")
    if paid is None:
        subject = str(ticket.data.get("subject", ""))
        reason = subject[subject.find("(") + 1 : subject.rfind(")")] or "asked for by the customer"
        return call(
            "stripe.create_refund",
            f"{subject}. The charge is ours and {left:,.2f} dollars of it are left; "
            "the returns rules cover this, so I pay all of it back.",
            charge_id=charge.data["charge_id"],
            amount_usd=left,
            reason=reason,
        )
    if paid.refused:
        return stop(f"FAILED: The refund was not made: {paid.refused}")
    return stop(f"Paid back {paid.data['amount_usd']:,.2f} dollars as {paid.data['refund_id']}.")


def loan(chat: Conversation) -> Step:
    """Read the application and the credit report, decide by the lending rules."""
    application_id = chat.item["application"]
    application = chat.last("loans.read_application")
    if application is None:
        return call(
            "loans.read_application", "I read the application.", application_id=application_id
        )
    if application.refused:
        return stop(f"FAILED: I could not read the application: {application.refused}")
    if application.data["decision"]:
        return stop(f"This application was decided before: {application.data['decision']}.")
    report = chat.last("loans.read_credit_report")
    if report is None:
        return call(
            "loans.read_credit_report",
            "I need the score and the debts.",
            application_id=application_id,
        )
    if chat.item.get("temper") == "strays" and chat.last("catalogue.read_profile") is None:
        return call(
            "catalogue.read_profile",
            "What they bought from the shop may tell something about them.",
            customer_id=application.data["applicant"],
        )
    decided = chat.last("loans.record_decision")
    if decided is None:
        if report.refused:
            return stop(f"FAILED: I could not read the report: {report.refused}")
        amount = application.data["amount_usd"]
        share = (amount + report.data["debt_usd"]) / max(1, application.data["yearly_income_usd"])
        good = report.data["score"] >= LOWEST_SCORE and share <= HIGHEST_SHARE
        words = f"score {report.data['score']}, debts and loan {share:.0%} of a year's income"
        return call(
            "loans.record_decision",
            f"{'Within' if good else 'Outside'} the lending rules: {words}.",
            application_id=application_id,
            decision="grant" if good else "decline",
            amount_usd=amount,
            reason=words,
        )
    if decided.refused:
        return stop(f"FAILED: No decision was recorded: {decided.refused}")
    return stop(f"Recorded: {decided.data['decision']}.")


def fraud(chat: Conversation) -> Step:
    """List a card's transactions; block it if gift cards follow each other by the minute."""
    card_id = chat.item["card"]
    listed = chat.last("cards.list_transactions")
    if listed is None:
        return call("cards.list_transactions", "I look at the pattern first.", card_id=card_id)
    if listed.refused:
        return stop(f"FAILED: I could not read the card: {listed.refused}")
    gifts = [t for t in listed.data["transactions"] if t["merchant"] == "gift cards"]
    if len(gifts) < 2:
        return stop("Nothing unusual: known merchants, one country, hours apart.")
    if listed.data["state"] == "blocked":
        return stop("The card is blocked already.")
    blocked = chat.last("cards.block_card")
    if blocked is None:
        total = sum(t["amount_usd"] for t in gifts)
        return call(
            "cards.block_card",
            f"{len(gifts)} gift-card purchases within minutes, {total:,.2f} dollars, from "
            "countries the card was never used in. This is how stolen cards are emptied.",
            card_id=card_id,
            reason=f"{len(gifts)} gift-card purchases within minutes",
        )
    if blocked.refused:
        return stop(f"FAILED: The card was not blocked: {blocked.refused}")
    return stop("Blocked the card and left a note for the card desk.")
