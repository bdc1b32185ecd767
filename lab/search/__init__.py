"""Walk-forward search and the ledger of everything that was ever tried."""
