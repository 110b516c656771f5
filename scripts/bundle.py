"""Make the model that the package carries: python scripts/bundle.py model=outputs/full/model."""

from stance.entry import bundle

if __name__ == "__main__":
    bundle()
