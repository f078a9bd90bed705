"""Search for settings: a study of trainings of one recipe, by any number of workers, chosen by a validation score."""
