"""What comes next for each object, decided afresh from every look."""
