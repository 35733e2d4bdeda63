"""Examine models/digits.pkl on data/test.csv: writes metrics.json."""

import json
import pickle
from pathlib import Path

import numpy as np

model = pickle.loads(Path("models/digits.pkl").read_bytes())
rows = np.loadtxt("data/test.csv", delimiter=",", dtype=int)
right = model.predict(rows[:, 1:]) == rows[:, 0]

metrics = {"accuracy": round(float(right.mean()), 4), "right": int(right.sum()), "images": len(rows)}
Path("metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
print(f"{metrics['right']} of {metrics['images']} digits read correctly")
