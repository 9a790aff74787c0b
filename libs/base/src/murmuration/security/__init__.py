"""Who may say what: identities, their secrets, and the server's configuration made from both."""
