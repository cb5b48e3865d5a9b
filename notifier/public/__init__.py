"""The page for whoever was told."""
