"""Running Systems."""
