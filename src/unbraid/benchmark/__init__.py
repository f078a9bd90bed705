"""Results: recorded trainings, the tables and pages made from them, and measurements of speed."""
