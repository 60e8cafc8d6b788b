"""A trainer that always takes the same five steps, and keeps its own source with each run."""

from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

# MLflow 3 saves models with skops, which loads a tree only from a file that we say we trust.
TREES = ["sklearn.tree._tree.Tree"]


@dataclass
class Options:
    """What may be turned; logged as the run's parameters."""

    trees: int = 50
    depth: int = 4
    test_share: float = 0.25
    seed: int = 7


class Controller:
    """Load features, set options, build, train, log: `run()` takes them in this order.

    Derive a class and replace a step; the others stay as they are.
    """

    experiment = "wine"

    def load_features(self) -> tuple[pd.DataFrame, pd.Series]:
        return load_wine(return_X_y=True, as_frame=True)

    def set_options(self, **given: float) -> Options:
        return Options(**given)

    def build(self, options: Options) -> Pipeline:
        forest = RandomForestClassifier(
            n_estimators=options.trees, max_depth=options.depth, random_state=options.seed
        )
        return make_pipeline(StandardScaler(), forest)

    def train(self, model: Pipeline, x: pd.DataFrame, y: pd.Series, options: Options) -> Pipeline:
        parts = train_test_split(x, y, test_size=options.test_share, random_state=options.seed)
        train_x, test_x, train_y, test_y = parts
        model.fit(train_x, train_y)
        model.score(test_x, test_y)  # autolog notes it as a metric
        return model

    def log(self, model: Pipeline, x: pd.DataFrame, options: Options) -> None:
        # Autolog has noted every parameter of every part; these are the ones that we turn.
        mlflow.set_tags({f"option.{name}": value for name, value in asdict(options).items()})
        mlflow.log_artifact(str(Path(__file__)), artifact_path="source")
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(x, model.predict(x)),
            input_example=x.head(2),
            pip_requirements="requirements.txt",
            skops_trusted_types=TREES,
        )

    def run(self, **given: float) -> str:
        """The five steps in one run; returns its id."""
        mlflow.set_experiment(self.experiment)
        mlflow.sklearn.autolog(log_models=False, silent=True)
        x, y = self.load_features()
        options = self.set_options(**given)
        with mlflow.start_run(run_name=type(self).__name__) as run:
            model = self.train(self.build(options), x, y, options)
            self.log(model, x, options)
        return run.info.run_id


if __name__ == "__main__":
    print(Controller().run())
