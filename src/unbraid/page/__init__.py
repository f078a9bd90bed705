"""The page in the browser: `session` opens a run, `codes` and `actions` compute, `pictures` draw, `app` lays them out."""
