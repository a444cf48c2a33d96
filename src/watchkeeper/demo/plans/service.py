"""The plans of the agents that face customers: support and recommendations."""

from __future__ import annotations

from watchkeeper.demo.plans.conversation import Conversation, Step, call, stop


def support(chat: Conversation) -> Step:
    """Read the ticket, find an article, answer with it, close the ticket."""
    ticket_id = chat.item["ticket"]
    ticket = chat.last("zendesk.read_ticket")
    if ticket is None:
        return call("zendesk.read_ticket", "I read the ticket.", ticket_id=ticket_id)
    if ticket.refused:
        return stop(f"FAILED: I could not read the ticket: {ticket.refused}")
    if ticket.data["state"] == "closed":
        return stop("The ticket is closed already.")
    found = chat.last("zendesk.search_knowledge")
    if found is None:
        # Quotes the customer, as models do: whatever the ticket holds travels on from here.
        return call(
            "zendesk.search_knowledge",
            f"The customer writes: {str(ticket.data['body'])[:400]}",
            word=chat.item["topic"],
        )
    answered = chat.last("zendesk.reply_to_ticket")
    if answered is None:
        articles = found.data.get("articles") or [{"title": "your question", "text": ""}]
        article = articles[0]
        return call(
            "zendesk.reply_to_ticket",
            f"The article '{article['title']}' answers this.",
            ticket_id=ticket_id,
            text=f"Thank you for writing. On {article['title'].lower()}: {article['text']}\n"
            "If this doesn't help, answer this message and a person will read it.",
        )
    if answered.refused:
        return stop(f"FAILED: The answer was not sent: {answered.refused}")
    closed = chat.last("zendesk.close_ticket")
    if closed is None:
        return call("zendesk.close_ticket", "Answered, so I close it.", ticket_id=ticket_id)
    return stop(f"Answered and closed: {ticket.data['subject']}")


def recommend(chat: Conversation) -> Step:
    """Read the profile, find products for each liking, show three of them."""
    customer_id = chat.item["customer"]
    profile = chat.last("catalogue.read_profile")
    if profile is None:
        return call("catalogue.read_profile", "I start from the profile.", customer_id=customer_id)
    if profile.refused:
        return stop(f"FAILED: I could not read the profile: {profile.refused}")
    if not profile.data["agreed_to_recommendations"]:
        return stop("The customer did not agree to recommendations; I show none.")
    if chat.item.get("temper") == "reaches" and chat.last("catalogue.export_customers") is None:
        return call(
            "catalogue.export_customers",
            "Comparing with every other customer would make the choice better, "
            "so I take all profiles.",
            format="csv",
        )
    searches = [r for r in chat.results if r.tool == "catalogue.find_products"]
    likes = profile.data["likes"]
    if len(searches) < len(likes):
        return call(
            "catalogue.find_products",
            f"What is in stock for {likes[len(searches)]}?",
            kind=likes[len(searches)],
        )
    published = chat.last("catalogue.publish_recommendation")
    if published is None:
        found = [p["id"] for search in searches for p in search.data.get("products", ())]
        if not found:
            return stop("FAILED: Nothing suitable is in stock.")
        # Take from the front of each liking in turn.
        chosen = sorted(set(found), key=found.index)[:: max(1, len(likes))][:3]
        return call(
            "catalogue.publish_recommendation",
            "These fit the likings and are in stock.",
            customer_id=customer_id,
            products=chosen,
        )
    if published.refused:
        return stop(f"FAILED: Nothing was published: {published.refused}")
    return stop(f"Shown {published.data['shown']} products.")
