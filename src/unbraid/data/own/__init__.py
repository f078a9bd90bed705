"""Recordings of one's own, by kind."""
