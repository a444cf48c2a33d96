"""Every tool server of the demo, by name."""

from __future__ import annotations

from watchkeeper.demo.tool_servers.catalogue import CATALOGUE
from watchkeeper.demo.tool_servers.cloud import CLOUD
from watchkeeper.demo.tool_servers.documents import DOCUMENTS
from watchkeeper.demo.tool_servers.payments import PAYMENTS
from watchkeeper.demo.tool_servers.tickets import TICKETS

OVER_HTTP = (PAYMENTS, TICKETS, CLOUD, CATALOGUE)
OVER_STDIO = (DOCUMENTS,)
WORKPLACES = {workplace.name: workplace for workplace in (*OVER_HTTP, *OVER_STDIO)}
