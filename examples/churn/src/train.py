"""Train a churn model and make it the challenger; src/promote.py decides whether it wins."""

import argparse

import matplotlib

matplotlib.use("agg")

import mlflow
from data import TARGET, customers
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split

MODEL = "churn"
# MLflow 3 saves models with skops, which loads a tree only from a file that we say we trust.
TREES = ["sklearn.tree._tree.Tree"]


def cross_validation(model: GradientBoostingClassifier, x, y) -> dict[str, float]:
    """Mean and spread over five folds: one number alone may be luck."""
    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    scores = cross_validate(model, x, y, cv=folds, scoring=["roc_auc", "f1"])
    return {
        "cv_auc": scores["test_roc_auc"].mean(),
        "cv_auc_std": scores["test_roc_auc"].std(),
        "cv_f1": scores["test_f1"].mean(),
    }


def log_pictures(model: GradientBoostingClassifier, x, y) -> None:
    """What a number hides: which mistakes the model makes, and what another threshold would do."""
    matrix = ConfusionMatrixDisplay.from_estimator(model, x, y, display_labels=["stays", "leaves"])
    mlflow.log_figure(matrix.figure_, "confusion_matrix.png")
    curve = RocCurveDisplay.from_estimator(model, x, y, plot_chance_level=True)
    mlflow.log_figure(curve.figure_, "roc.png")


def main(trees: int, depth: int) -> None:
    table = customers()
    x, y = table.drop(columns=TARGET), table[TARGET]
    train_x, test_x, train_y, test_y = train_test_split(
        x, y, test_size=0.25, stratify=y, random_state=7
    )
    model = GradientBoostingClassifier(n_estimators=trees, max_depth=depth, random_state=7)

    mlflow.set_experiment("churn")
    with mlflow.start_run(run_name=f"{trees} trees of depth {depth}"):
        mlflow.log_params({"trees": trees, "depth": depth})
        mlflow.log_metrics(cross_validation(model, train_x, train_y))
        model.fit(train_x, train_y)
        mlflow.log_metric("auc", roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]))
        log_pictures(model, test_x, test_y)
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(train_x, model.predict(train_x)),
            input_example=test_x.head(2),
            pip_requirements="requirements.txt",
            skops_trusted_types=TREES,
            registered_model_name=MODEL,
        )
    version = logged.registered_model_version
    MlflowClient().set_registered_model_alias(MODEL, "challenger", version)
    print(f"{MODEL} version {version} is challenger")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int, default=60)
    parser.add_argument("--depth", type=int, default=2)
    arguments = parser.parse_args()
    main(arguments.trees, arguments.depth)
