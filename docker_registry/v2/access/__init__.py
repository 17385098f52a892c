"""Who may do what: users, passwords, guesses, tokens. Knows no blob."""
