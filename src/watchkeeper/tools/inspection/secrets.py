"""Secrets: tokens by the marks their issuers gave them, keys, and what is called a password.

Randomness alone is no mark: it would find ids, hashes and ordinary words. Each form begins with
a text that is looked for first (the fastest thing that can be done with text), and only there
is the rest tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.core.patterns import searching
from watchkeeper.tools.inspection.model import Finding, Spans, TooLarge

MOST_MARKS = 20_000
"""Beginnings of secrets looked at in one text; more are nobody's data."""

_ISSUED = (
    # marks, recogniser, the whole token
    ("wka_ wkr_ wkp_ wkpb_ wke_ wkd_ wkn_ wksk_", "watchkeeper", r"wk[a-z]{1,2}_[\w-]{43}"),
    ("AKIA ASIA ABIA ACCA", "aws", r"A[A-Z]{3}[A-Z2-7]{16}"),
    ("ghp_ gho_ ghu_ ghs_ ghr_", "github", r"gh[a-z]_[A-Za-z0-9]{36,255}+"),
    ("github_pat_", "github", r"github_pat_\w{22,255}+"),
    ("glpat- gldt- glrt- glcbt- glptt- glft- gloas- glsoat- glagent-", "gitlab",
     r"gl[a-z]{2,5}-[\w-]{20,255}+"),
    ("xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", "slack", r"x[a-z]{3}-[\w-]{10,255}+"),
    ("hooks.slack.com/", "slack", r"hooks\.slack\.com/(?:services|workflows)/[\w/]{20,200}+"),
    ("sk_live_ sk_test_ rk_live_ rk_test_", "stripe", r"[rs]k_[a-z]{4}_[A-Za-z0-9]{16,255}+"),
    ("whsec_", "webhook", r"whsec_[A-Za-z0-9+/=]{24,128}+"),
    ("sk-", "model-provider", r"sk-(?=[\w-]{0,80}[0-9])(?=[\w-]{0,80}[A-Z])[\w-]{20,255}+"),
    ("AIza", "google", r"AIza[\w-]{35}"),
    ("GOCSPX-", "google", r"GOCSPX-[\w-]{20,60}+"),
    ("ya29.", "google", r"ya29\.[\w-]{20,1000}+"),
    ("SG.", "sendgrid", r"SG\.[\w-]{22}\.[\w-]{43}"),
    ("npm_", "npm", r"npm_[A-Za-z0-9]{36}"),
    ("pypi-AgE", "pypi", r"pypi-AgE[\w-]{50,1000}+"),
    ("hvs. hvb. hvr.", "vault", r"hv[a-z]\.[\w-]{24,255}+"),
    ("dop_v1_", "digitalocean", r"dop_v1_[a-f0-9]{64}"),
    ("shpat_ shpca_ shppa_ shpss_", "shopify", r"shp[a-z]{2}_[a-fA-F0-9]{32}"),
    ("hf_", "huggingface", r"hf_[A-Za-z0-9]{34}"),
    ("dapi", "databricks", r"dapi[a-f0-9]{32}"),
    ("lin_api_", "linear", r"lin_api_[A-Za-z0-9]{40}"),
    ("ntn_", "notion", r"ntn_[A-Za-z0-9]{40,60}+"),
    ("glsa_", "grafana", r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}"),
    ("gsk_", "groq", r"gsk_[A-Za-z0-9]{40,60}+"),
    ("xai-", "xai", r"xai-[A-Za-z0-9]{60,100}+"),
    ("PMAK-", "postman", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    ("NRAK-", "newrelic", r"NRAK-[A-Z0-9]{27}"),
    ("sntrys_", "sentry", r"sntrys_[\w+/=]{40,400}+"),
    ("AGE-SECRET-KEY-1", "age", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    ("AccountKey=", "azure", r"AccountKey=[A-Za-z0-9+/]{86}=="),
)  # fmt: skip
_MARKS = tuple(
    (mark, name, re.compile(rf"(?<![A-Za-z0-9]){whole}(?![A-Za-z0-9])"))
    for marks, name, whole in _ISSUED
    for mark in marks.split()
)

# a JWT is looked for by where its second part begins: the first ends at the full stop before
# it, so that no stretch of text is gone through twice
_JWT_HEADER = re.compile(r"[\w-]{10,2000}+")
_JWT_REST = re.compile(r"\.eyJ[\w-]{10,4000}+\.[\w-]{0,2000}+")
_LONGEST_HEADER = 2001
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_IN_ADDRESS = re.compile(r"://[^\s/:@\"'<>\[\]\x00]{0,200}:([^\s/@\"'<>\[\]\x00]{3,200})@")
_AUTHORISED = re.compile(r"(?:bearer|basic)[ \t]{1,4}([\w.~+/-]{16,4000}={0,2})", re.IGNORECASE)
_CALLED = (
    # what a secret is called where one is set: `password = …`, `"api_key": "…"`
    ("passw", r"passw(?:or)?d"),
    ("passphrase", r"passphrase"),
    ("secret", r"secret(?:[_-]?(?:access[_-]?)?key)?"),
    ("api", r"api[_-]?key"),
    ("token", r"token"),
    ("private", r"private[_-]?key"),
)
_IS = r"[\"'\\]{0,3}[ \t]{0,4}(?:=>|:=|[:=])"
_VALUE = _IS + (
    r"[ \t]{0,4}[\"'\\]{0,3}"
    r"([^\s\"'\\,;&<>(){}\[\]\x00]{8,256})"
)
_SET = tuple((mark, re.compile(name + _VALUE, re.IGNORECASE)) for mark, name in _CALLED)


# one pass in a linear engine; most text has no mark, and needs no more than this
_has_mark = searching(
    "|".join(
        [
            *(re.escape(mark) for mark, _, _ in _MARKS),
            r"\.eyJ|-----BEGIN |://[^/]{0,200}@",
            rf"(?i:bearer |basic |{'|'.join(name + _IS for _, name in _CALLED)})",
        ]
    )
)
_REFERENCES = ("$", "%", "env:", "file:", "sealed:", "vault:", "sha256:", "http")


def find_secrets(text: str) -> Spans:
    """Find secrets of every known form; raise `TooLarge` for a text full of their beginnings."""
    if not _has_mark(text):
        return []
    found: Spans = []
    left = [MOST_MARKS]
    for mark, name, whole in _MARKS:
        for at in _places(text, mark, left):
            token = whole.match(text, at)
            if token:
                found.append(Finding("secret", at, token.end(), name))
    for at in _places(text, ".eyJ", left):
        header = _JWT_HEADER.match(text[max(0, at - _LONGEST_HEADER) : at][::-1])
        rest = _JWT_REST.match(text, at) if header else None
        if header and rest and text.startswith("eyJ", at - header.end()):
            found.append(Finding("secret", at - header.end(), rest.end(), "jwt"))
    found += _find_keys(text, left)
    for at in _places(text, "://", left):
        inside = _IN_ADDRESS.match(text, at)
        if inside:
            found.append(Finding("secret", inside.start(1), inside.end(1), "address"))
    return found + _find_settings(text, left)


def _find_keys(text: str, left: list[int]) -> Spans:
    """Find private keys: all between the lines around one, or to the end where the last lacks."""
    found: Spans = []
    end = 0
    for at in _places(text, "-----BEGIN ", left):
        if at < end:
            continue
        begins = _KEY_BEGINS.match(text, at)
        if begins:
            ends = _KEY_ENDS.search(text, begins.end())
            end = ends.end() if ends else len(text)
            found.append(Finding("secret", at, end, "private-key"))
    return found


def _find_settings(text: str, left: list[int]) -> Spans:
    """Find what is set as a password or key, if it looks like one: letters with digits."""
    lower = text.lower()
    if len(lower) != len(text):  # letters that grow when made small would shift every place
        lower = text
    found: Spans = []
    for mark in ("bearer ", "basic "):
        for at in _places(lower, mark, left):
            given = _AUTHORISED.match(text, at)
            if given and any(map(str.isdigit, given[1])):
                found.append(Finding("secret", given.start(1), given.end(1), "authorization"))
    for mark, called in _SET:
        tried = 0
        for at in _places(lower, mark, left):
            value = called.match(text, at) if at >= tried else None
            if value:
                tried = value.end()
                if looks_random(value[1]):
                    found.append(Finding("secret", value.start(1), value.end(1), "named"))
    return found


def looks_random(value: str) -> bool:
    """Whether a value may be a password: letters with digits, and no reference to one."""
    return (
        any(map(str.isdigit, value))
        and any(map(str.isalpha, value))
        and not value.startswith(_REFERENCES)
    )


def _places(text: str, mark: str, left: list[int]) -> Iterator[int]:
    at = text.find(mark)
    while at >= 0:
        left[0] -= 1
        if left[0] < 0:
            raise TooLarge("too many beginnings of secrets")
        yield at
        at = text.find(mark, at + 1)
