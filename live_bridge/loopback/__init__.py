"""A loopback exchange: Binance Spot's REST protocol over stored bars, for tests, demo and rehearsals.

The bridge never imports this package; it meets it over HTTP like any exchange.
"""
