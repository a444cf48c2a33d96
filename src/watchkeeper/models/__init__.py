"""Models behind logical names: prices, routes, how providers do, answers kept."""
