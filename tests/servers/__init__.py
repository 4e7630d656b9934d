"""Real servers for the tests. Each is started lazily, on a free port of 127.0.0.1, and leaves nothing behind."""
