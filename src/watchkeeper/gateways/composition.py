"""The gateways as the plane mounts them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.decide.telemetry.taking import Telemetry
from watchkeeper.decide.tokens.credentials import references_in_force
from watchkeeper.decide.tools.sightings import Sightings
from watchkeeper.gateways.callers import Callers
from watchkeeper.gateways.declared import DeclaredPlaces
from watchkeeper.gateways.hooks.endpoint import HookEndpoint
from watchkeeper.gateways.http import AsgiApp
from watchkeeper.gateways.mcp import endpoint as mcp
from watchkeeper.gateways.mcp.calls import ToolCalls
from watchkeeper.gateways.mcp.cancellations import Cancellations
from watchkeeper.gateways.mcp.endpoint import McpEndpoint
from watchkeeper.gateways.mcp.listening import Listeners
from watchkeeper.gateways.model import endpoint as model
from watchkeeper.gateways.model.calls import ModelCalls
from watchkeeper.gateways.model.dialects.anthropic import ANTHROPIC
from watchkeeper.gateways.model.dialects.openai import OPENAI
from watchkeeper.gateways.model.endpoint import ModelEndpoint
from watchkeeper.gateways.model.keeping import Keeping
from watchkeeper.gateways.model.providers import Providers
from watchkeeper.gateways.model.turns import Turns
from watchkeeper.gateways.offers import Offers
from watchkeeper.gateways.otlp.endpoint import PATHS, OtlpEndpoint
from watchkeeper.gateways.performing import Performances
from watchkeeper.gateways.recording import Recording
from watchkeeper.gateways.replay.entrance import by_token
from watchkeeper.gateways.replay.forking import Forks
from watchkeeper.gateways.replay.playbacks import Playbacks
from watchkeeper.gateways.replay.played_models import PlayedModels
from watchkeeper.gateways.replay.played_tools import PlayedTools
from watchkeeper.gateways.replay.runs import ReplayRuns
from watchkeeper.gateways.stopping import UpstreamStops, shut_by
from watchkeeper.registry.documents import ToolContract
from watchkeeper.tools.pins.model import Distrusted
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.secrets.model import Trouble
from watchkeeper.tools.secrets.oauth import OAuthTokens
from watchkeeper.tools.secrets.references import References
from watchkeeper.tools.secrets.sealed import SealedStore
from watchkeeper.tools.secrets.vault import Vault, VaultSettings
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import Credential, UpstreamFailure
from watchkeeper.tools.upstreams.pool import Pool
from watchkeeper.tools.upstreams.supervision import OnState
from watchkeeper.wire.plane import UpstreamRow

SURFACES = (OPENAI, ANTHROPIC)
"""The protocols that models are called in."""


class Gateways:
    """The gateways with the connections behind them."""

    def __init__(
        self,
        decider: Decider,
        view: CatalogueView,
        clock: Clock,
        on_state: OnState | None = None,
        *,
        sealed: SealedStore | None = None,
        vault: VaultSettings | None = None,
        places: Sequence[str] = (),
        home: str = "",
    ) -> None:
        self._egress = Egress(declares=DeclaredPlaces(view, vault.url if vault else "", *places))
        self.credentials = _credentials(self._egress, clock, sealed, vault)
        """What upstreams and providers are given; `known` finds what is echoed of it."""
        self.sightings = Sightings(decider.store, view)
        """What upstreams offer, compared with the definitions that are trusted."""
        listed = self.sightings.listed
        self._pool = Pool(self._egress, clock, self.credentials, on_state, listed, home)
        self._decider = decider
        self._view = view
        self._offers = Offers(view)
        self._performances = Performances(decider)
        self._listeners = Listeners()
        self.providers = Providers(
            self._egress, self.credentials, decider.statistics, clock, on_state
        )
        """How providers are called, and how they do."""
        self._keeping = Keeping(view, clock)
        turns = Turns()
        callers = Callers(decider)
        cancellations = Cancellations()
        self.recording = Recording(decider.store, view)
        """Keeps what passes, as far as contracts say."""
        calls = ToolCalls(
            decider, self._offers, self._pool, self._performances, cancellations, self.recording
        )
        model_calls = ModelCalls(
            decider,
            self._offers,
            self.providers,
            self._performances,
            self._keeping,
            self.recording,
        )
        runs = ReplayRuns(decider, Envelopes(decider))
        self.playbacks = Playbacks(decider, view, runs)
        """What is played to agents again."""
        real = self._doors(callers, calls, model_calls, cancellations, turns)
        played = self._doors(
            Callers(decider, self.playbacks.identify),
            PlayedTools(self.playbacks, view, self._offers),
            PlayedModels(self.playbacks, view, model_calls),
            cancellations,
            turns,
        )
        self.forks = Forks(decider, runs, real)
        """Sends recorded model calls again."""
        self.apps: Mapping[str, AsgiApp] = {
            "/hooks": HookEndpoint(decider, view, self._offers, self.recording),
            **{prefix: by_token(app, played[prefix]) for prefix, app in real.items()},
        }
        """Path prefix → app. Apps read the whole path of a request."""
        self.telemetry = Telemetry(decider.store, view)
        """Takes what agents say of themselves."""
        self._otlp = OtlpEndpoint(self.telemetry)
        self.posts: Mapping[str, AsgiApp] = dict.fromkeys(PATHS, self._otlp)
        """Path → app, of what is posted beside the routes of the API."""

    def _doors(
        self,
        callers: Callers,
        tools: mcp.Calls,
        models: model.Calls,
        cancellations: Cancellations,
        turns: Turns,
    ) -> dict[str, AsgiApp]:
        """Return what speaks each protocol, by path prefix, for what answers the calls."""
        return {
            "/mcp": McpEndpoint(callers, self._offers, tools, self._listeners, cancellations),
            **{
                surface.prefix: ModelEndpoint(surface, callers, self._offers, models, turns)
                for surface in SURFACES
            },
        }

    @property
    def egress(self) -> Egress:
        """The checked way out, for what else the plane fetches (keys of issuers)."""
        return self._egress

    @property
    def stops(self) -> UpstreamStops:
        """What shuts upstreams off, for the kill switch."""
        return UpstreamStops(self._pool, lambda: self._decider.locks)

    @property
    def pool(self) -> Pool:
        """The upstreams, for what else calls their tools (previews)."""
        return self._pool

    async def start(self) -> None:
        """Read which definitions are trusted, then connect; returns before they have answered."""
        await self.sightings.load()
        self.recording.start()
        await self._pool.end_left_over()
        self._pool.shut_off(shut_by(self._decider.locks, {}, starting=True))
        self.refresh()

    def refresh(self) -> None:
        """Follow a change of what is in force: connect, let go, tell listening agents."""
        self._pool.apply(self._offers.upstreams())
        self.providers.keep(self._offers.providers())
        self.sightings.follow()
        self._keeping.follow()
        self._listeners.announce()

    def forget_answers(self) -> None:
        """Keep no answer that somebody got, to be given again, and no words of agents."""
        self._keeping.forget()
        self.playbacks.forget_words()

    def follow_locks(self) -> None:
        """Follow a change of the locks in force: shut upstreams off or open them again, and tell
        agents that listen that other tools may be called.
        """
        self._listeners.announce()
        shut = shut_by(self._decider.locks, self._pool.shut)
        if shut != self._pool.shut:
            self._pool.shut_off(shut)

    async def credential_troubles(self) -> list[Trouble]:
        """Return which credentials that documents refer to cannot be had now."""
        found = []
        for source, users in references_in_force(self._view.now).items():
            error = await self.credentials.trouble(source)
            if error is not None:
                found.append(Trouble(source, users, error.message, error.remedy or "restore it"))
        return found

    async def read_secret(self, source: str) -> str:
        """Return the secret behind a reference; raise `Unavailable` when there is none."""
        return await self.credentials.value(Credential(source))

    def secrets_changed(self, names: Collection[str]) -> None:
        """Let upstreams whose sealed credential has changed be opened with the new one."""
        self._pool.look({f"sealed:{name}" for name in names})

    async def read(self, tool: ToolContract, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a read-only tool for the plane itself and return its structured result.

        Raises `Unavailable` when the upstream gives none.
        """
        if tool.upstream is None:
            raise Unavailable(f"{tool.name} is performed by agents, not by the plane")
        trusted = self._view.now.trust(tool)
        if isinstance(trusted, Distrusted):
            raise Unavailable(
                f"{tool.name}: {trusted.reason}", rule=f"tool/{tool.name}/{trusted.rule}"
            )
        try:
            result = await self._pool.call(
                tool.upstream,
                tool.offered_as,
                arguments,
                timeout_seconds=tool.timeout_seconds,
                permitted=trusted.digest,
            )
        except UpstreamFailure as failure:
            raise Unavailable(f"{tool.name}: {failure.message}") from failure
        failed = "isError" in result and msgspec.json.decode(result["isError"]) is True
        shown = msgspec.json.decode(result.get("structuredContent", msgspec.Raw(b"null")))
        if failed or not isinstance(shown, dict):
            raise Unavailable(f"{tool.name} gave no structured result")
        return shown

    def upstream_rows(self) -> list[UpstreamRow]:
        """Return how each upstream and provider does."""
        return [*self._pool.rows(), *self.providers.rows(self._offers.providers())]

    async def stop(self) -> None:
        """Let what runs end or cut it off, then close every connection."""
        self._listeners.close()
        await self._performances.stop()
        await self.recording.stop()
        await self._otlp.stop()
        await self._pool.close()
        await self.sightings.stop()
        await self._egress.close()


def mount(
    decider: Decider,
    view: CatalogueView,
    clock: Clock,
    on_state: OnState | None = None,
    *,
    sealed: SealedStore | None = None,
    vault: VaultSettings | None = None,
    places: Sequence[str] = (),
    home: str = "",
) -> Gateways:
    """Build the gateways; mount `apps`, then `start` them on the loop that serves.

    `places` are URLs that settings name; `home` is of this plane alone: processes of upstreams
    are known by it when it starts anew.
    """
    return Gateways(
        decider, view, clock, on_state, sealed=sealed, vault=vault, places=places, home=home
    )


def _credentials(
    egress: Egress, clock: Clock, sealed: SealedStore | None, vault: VaultSettings | None
) -> Credentials:
    known = KnownValues()
    references = References(known, sealed=sealed)
    if vault is not None:
        references.vault = Vault(vault, egress, clock, references.read).read
    return Credentials(references, OAuthTokens(egress, clock, references.read, known), known)
