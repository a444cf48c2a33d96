"""The demo: a fleet of real agents, tools and a model server that work under a plane."""
