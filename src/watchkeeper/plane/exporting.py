"""What exports the plane's spans, as its settings say."""

from __future__ import annotations

from watchkeeper import __version__
from watchkeeper.core.ids import secret
from watchkeeper.decide.telemetry.exporting import Exporter
from watchkeeper.gateways.composition import Gateways
from watchkeeper.plane.settings import Settings
from watchkeeper.store.store import Store


def exporter_of(settings: Settings, store: Store, gateways: Gateways) -> Exporter:
    """Return the exporter, which sends nothing where no setting says where to."""
    resource = {
        "service.name": "watchkeeper",
        "service.version": __version__,
        "service.instance.id": settings.plane,
        "deployment.environment.name": settings.environment,
    }
    name = f"{settings.plane}/{secret('exp')}"
    target, read_secret = settings.export, gateways.read_secret
    return Exporter(store, gateways.egress, read_secret, target, resource, name)
