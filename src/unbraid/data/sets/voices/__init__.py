"""Voices: speech-like sound made by code."""
