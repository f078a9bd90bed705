"""PhysioNet 2012: `physionet2012` has the card, the loader and the splits; `records` reads and bins the records."""
