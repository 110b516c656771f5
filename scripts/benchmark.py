"""Time a model beside other tools: python scripts/benchmark.py model=FOLDER."""

from stance.entry import benchmark

if __name__ == "__main__":
    benchmark()
