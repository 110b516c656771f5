"""Write ONNX files: python scripts/export.py model=outputs/starter/model (configs/export.yaml)."""

from stance.entry import export

if __name__ == "__main__":
    export()
