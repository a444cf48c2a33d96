"""The two gateways and the connections behind them, driven by the clients agents really use."""
