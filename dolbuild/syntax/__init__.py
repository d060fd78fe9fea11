"""Text to tree: tokens, layout, grammar, syntax tree."""
