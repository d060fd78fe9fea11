"""Documentation: pages from interfaces and exegesis, and the examples in them as tests."""
