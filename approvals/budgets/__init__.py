"""Period budgets as people decide on them: one question for all missions that wait, and what becomes of the answer."""
