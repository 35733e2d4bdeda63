"""Split the handwritten digits that come with scikit-learn: writes data/train.csv and data/test.csv."""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

params = json.loads(Path("params.json").read_text())
images, digits = load_digits(return_X_y=True)
rows = np.column_stack([digits, images]).astype(int)  # first column: the digit, then 64 pixels
train, test = train_test_split(rows, test_size=params["test_share"], random_state=params["seed"], stratify=digits)

Path("data").mkdir(exist_ok=True)
np.savetxt("data/train.csv", train, fmt="%d", delimiter=",")
np.savetxt("data/test.csv", test, fmt="%d", delimiter=",")
print(f"{len(train)} images to learn from, {len(test)} to be examined on")
