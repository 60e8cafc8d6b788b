"""Ask the champion about some customers, and leave a trace of each step in MLflow."""

import mlflow
import pandas as pd
from data import TARGET, customers

MODEL = "models:/churn@champion"


@mlflow.trace
def look_up(first: int, count: int) -> pd.DataFrame:
    return customers().drop(columns=TARGET).iloc[first : first + count]


@mlflow.trace
def advise(first: int, count: int) -> list[str]:
    champion = mlflow.pyfunc.load_model(MODEL)
    with mlflow.start_span("predict") as span:
        predicted = champion.predict(look_up(first, count))
        span.set_outputs({"leaving": int(predicted.sum())})
    return ["call them" if leaves else "leave them alone" for leaves in predicted]


if __name__ == "__main__":
    mlflow.set_experiment("churn")
    print(*advise(0, 5), sep="\n")
