"""How fast a running System is."""
