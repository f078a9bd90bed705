"""Speed, and the ledger of results."""
