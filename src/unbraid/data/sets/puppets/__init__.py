"""Puppets: small figures drawn by code."""
