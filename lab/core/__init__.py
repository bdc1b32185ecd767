"""Frozen types that everything else speaks: panels, features, timeframes, markets, settings, errors."""
