"""Market data: import, validate, keep, look up; panels for strategies; demo and synthetic markets."""
