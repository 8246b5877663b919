"""What a policy would say: of one action (try it), and of all that was ever ruled on (replay on history)."""
