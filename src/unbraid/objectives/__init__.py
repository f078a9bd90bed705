"""Parts of objectives: schedules of weights."""
