"""Learn to read digits from data/train.csv: writes models/digits.pkl."""

import json
import pickle
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

params = json.loads(Path("params.json").read_text())
rows = np.loadtxt("data/train.csv", delimiter=",", dtype=int)
model = make_pipeline(StandardScaler(), LogisticRegression(C=params["C"], max_iter=1000))
model.fit(rows[:, 1:], rows[:, 0])

Path("models").mkdir(exist_ok=True)
Path("models/digits.pkl").write_bytes(pickle.dumps(model))
print(f"learned {len(model.classes_)} digits")
