"""Workers that die, or are hurt, at a place of their code that has a name; and what became of their missions."""
