"""Time training beside transformers' example: python scripts/training_speed.py encoder=minilm."""

from stance.entry import training_speed

if __name__ == "__main__":
    training_speed()
