"""Takes documents of other libraries (spaCy, pandas); gives them back with our labels."""
