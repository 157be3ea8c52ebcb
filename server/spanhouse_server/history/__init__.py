"""A seeded week of sample runs, so that a first look has something to look at. Every run is made up here."""
