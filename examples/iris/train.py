"""The whole road once: track a run, register its model, name it by an alias, load it again."""

import argparse

import mlflow
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

MODEL = "iris-classifier"


def main(c: float) -> None:
    features, species = load_iris(return_X_y=True, as_frame=True)
    train_x, test_x, train_y, test_y = train_test_split(
        features, species, test_size=0.3, stratify=species, random_state=7
    )

    # Track: everything inside the block belongs to one run.
    mlflow.set_experiment("iris")
    with mlflow.start_run(run_name=f"logistic C={c:g}"):
        model = LogisticRegression(C=c, max_iter=500).fit(train_x, train_y)
        accuracy = accuracy_score(test_y, model.predict(test_x))
        mlflow.log_param("C", c)
        mlflow.log_metric("accuracy", accuracy)

        # Register: the model becomes the next version of `iris-classifier`.
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(train_x, model.predict(train_x)),
            input_example=train_x.head(2),
            pip_requirements="requirements.txt",
            registered_model_name=MODEL,
        )

    # Name it: others ask for the alias, and need not know which version that is today.
    version = logged.registered_model_version
    MlflowClient().set_registered_model_alias(MODEL, "champion", version)

    # Load it again, from the registry alone, as a program that serves it would.
    champion = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    again = accuracy_score(test_y, champion.predict(test_x))
    print(f"{MODEL} version {version} is champion, accuracy {accuracy:.3f}, loaded {again:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--c", type=float, default=1.0, help="inverse strength of regularisation")
    main(parser.parse_args().c)
