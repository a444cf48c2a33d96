"""The demo's agents: real client processes that know nothing of the plane but its addresses."""
