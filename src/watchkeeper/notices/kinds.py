"""Which kinds of channel are taken: what goes over the network to people, nothing on this machine.

The notification library also runs programs, writes files and talks to desktops and buses; only
what is listed here is ever given to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from watchkeeper.core.errors import Invalid

_KINDS: Mapping[str, str] = {
    "mail": "mailto mailtos ses sendgrid mailgun postmark brevo resend sparkpost smtp2go",
    "chat": "slack discord gchat mmost mmosts rocket rockets zulip webex wxteams workflow "
    "workflows tgram nctalk nctalks lark feishu dingtalk wecombot line twist flock zoom synology "
    "synologys",
    "push": "ntfy ntfys gotify gotifys pover pbul prowl simplepush bark barks",
    "pager": "pagerduty opsgenie goalert goalerts incidentio ilert betterstack firehydrant "
    "squadcast pagertree splunk victorops signl4 spike xmatters",
    "text message": "twilio vonage nexmo clicksend msgbird plivo sinch telnyx sns seven 46elks "
    "voipms",
    "web hook": "json jsons form forms",
}
KINDS: Mapping[str, str] = {
    scheme: kind for kind, schemes in _KINDS.items() for scheme in schemes.split()
}
"""Scheme of a channel's URL → what it is."""
_SCHEME = re.compile(r"[a-z0-9]{2,20}")
_READS_FILES = frozenset({"pgp", "pgppub", "pgpprv", "wkd", "attach", "template", "config"})
_YES = frozenset({"yes", "y", "true", "t", "1", "on"})
_LONGEST = 2000


def check_url(url: str, *, allow_private: bool) -> str:
    """Return the scheme of a channel's URL.

    Raises `Invalid`, with nothing of the URL but its scheme in it, for what is not taken.
    """
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator or not _SCHEME.fullmatch(scheme):
        raise Invalid(
            "its secret is no URL of the notification library",
            rule="notice/url",
            remedy="write one as `ntfys://ntfy.sh/TOPIC`; see `watchkeeper help notifications`",
        )
    if scheme not in KINDS:
        raise Invalid(
            f"a channel of the kind {scheme}:// is not taken",
            rule="notice/kind",
            remedy="use one that goes over the network to people, such as mailtos, ntfys, slack, "
            "pagerduty or jsons",
        )
    if not _is_well_formed(url):
        raise Invalid(
            f"its {scheme}:// URL is too long or malformed",
            rule="notice/url",
            remedy="write one URL, without spaces, other characters as %XX",
        )
    given = _parameters(url)
    names = {name for name, _ in given}
    if found := sorted(names & _READS_FILES):
        raise Invalid(
            f"its URL has {', '.join(found)}, which reads files of this machine",
            rule="notice/url",
            remedy="leave it out",
        )
    for name, value in given:
        if name == "verify" and value.lower() not in _YES and not allow_private:
            raise Invalid(
                "its URL turns the check of certificates off",
                rule="notice/url",
                remedy="leave `verify` out; only a channel with `allow_private: true` may have it",
            )
    return scheme


def _is_well_formed(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return len(url) <= _LONGEST and url.isascii() and not re.search(r"[\s\x7f]", url)


def _parameters(url: str) -> list[tuple[str, str]]:
    """Return what a URL asks of the library, by name, as the library reads it.

    It takes all after the first question mark, be that behind a `#`, and parts it by `;` too.
    """
    found = []
    for pair in re.split("[&;]", url.partition("?")[2]):
        name, _, value = pair.partition("=")
        name = unquote(name.replace("+", " ")).strip().lower()
        found.append((name.lstrip("-+: "), unquote(value).strip()))
    return found
