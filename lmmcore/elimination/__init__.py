"""Models without one of their terms, and the tests that decide which."""
