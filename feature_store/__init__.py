"""A Parquet store for columns by time and market: keyed, incremental, atomic. It knows no finance."""
