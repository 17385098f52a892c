"""Who may do what: users, passwords, failed logins, tokens. It knows nothing of blobs."""
