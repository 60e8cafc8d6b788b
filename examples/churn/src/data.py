"""Customers of a telephone company that never was; the same ones for the same seed."""

import numpy as np
import pandas as pd

TARGET = "churned"


def customers(count: int = 1500, seed: int = 7) -> pd.DataFrame:
    """One row per customer; `churned` says whether they left within the quarter."""
    random = np.random.default_rng(seed)
    months = random.exponential(24, count).round(1)
    bill = random.normal(55, 20, count).clip(10).round(2)
    calls = random.poisson(1.2, count).astype(float)
    contract = random.choice([0.0, 1.0], count, p=[0.45, 0.55])
    leaning = 0.9 * calls + 0.03 * (bill - 55) - 0.05 * months - 1.6 * contract
    leaves = random.uniform(size=count) < 1 / (1 + np.exp(-leaning))
    columns = {"months": months, "monthly_bill": bill, "calls": calls, "contract": contract}
    return pd.DataFrame({**columns, TARGET: leaves.astype(int)})
