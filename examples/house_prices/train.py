"""Several models of one data set, compared: who is best, on which data, by how much."""

import argparse

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

EXPERIMENT = "house-prices"
# MLflow 3 saves models with skops, which loads a tree only from a file that we say we trust.
TREES = ["sklearn.tree._tree.Tree"]


def houses(count: int = 800, seed: int = 7) -> pd.DataFrame:
    """Houses that never stood anywhere; the same ones for the same seed."""
    random = np.random.default_rng(seed)
    area = random.normal(110, 35, count).clip(30)
    rooms = (area / 25 + random.normal(0, 1, count)).round().clip(1)
    age = random.uniform(0, 90, count)
    distance = random.exponential(6, count)
    price = 2400 * area + 9000 * rooms - 700 * age - 8000 * np.sqrt(distance)
    noise = random.normal(0, 18_000, count)
    columns = {"area": area, "rooms": rooms, "age": age, "distance": distance}
    return pd.DataFrame({**columns, "price": (price + noise).clip(20_000)}).round(1)


MODELS = {
    "ridge": Ridge(alpha=1.0),
    "forest": RandomForestRegressor(n_estimators=60, max_depth=8, random_state=7),
    "boosting": GradientBoostingRegressor(n_estimators=150, random_state=7),
}


def train(name: str, train_set: pd.DataFrame, test_set: pd.DataFrame) -> None:
    x, y = train_set.drop(columns="price"), train_set["price"]
    with mlflow.start_run(run_name=name):
        # Which data: MLflow keeps name, schema and digest of each set, not the rows themselves.
        for data, context in ((train_set, "training"), (test_set, "test")):
            dataset = mlflow.data.from_pandas(data, name="houses", targets="price")
            mlflow.log_input(dataset, context=context)

        model = MODELS[name].fit(x, y)
        mlflow.log_params(model.get_params())
        predicted = model.predict(test_set.drop(columns="price"))
        mlflow.log_metrics(
            {
                "rmse": root_mean_squared_error(test_set["price"], predicted),
                "mae": mean_absolute_error(test_set["price"], predicted),
                "r2": r2_score(test_set["price"], predicted),
            }
        )
        # The signature says which columns the model wants; the example shows a row of them.
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(x, model.predict(x)),
            input_example=x.head(2),
            pip_requirements="requirements.txt",
            skops_trusted_types=TREES,
        )


def main(names: list[str]) -> None:
    mlflow.set_experiment(EXPERIMENT)
    train_set, test_set = train_test_split(houses(), test_size=0.25, random_state=7)
    for name in names:
        train(name, train_set, test_set)

    # What the UI's "Compare" shows, as a table.
    runs = mlflow.search_runs(experiment_names=[EXPERIMENT], order_by=["metrics.rmse ASC"])
    columns = ["tags.mlflow.runName", "metrics.rmse", "metrics.mae", "metrics.r2"]
    print(runs[columns].to_string(index=False))
    best = runs.iloc[0]
    mlflow.MlflowClient().set_tag(best.run_id, "best", "true")
    print(f"best: {best['tags.mlflow.runName']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    main(parser.parse_args().models)
