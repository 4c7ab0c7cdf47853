"""A trained network on a store: its predictions, their scores, and what they look like."""
