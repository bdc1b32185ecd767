"""Trade what the lab proved: one tick at a time, no order twice and none lost."""
