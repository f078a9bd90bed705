"""The models: base.py and one file per published method."""
