"""Your own recordings, by kind: frames, sounds, tables of series, arrays."""
