"""Who may do what: settings, token verification, scopes, the gate, and the local issuer for development."""
