"""The gate: the challenger becomes champion if it is really better; otherwise exit code 1."""

import argparse
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

MODEL = "churn"


def auc_of(client: MlflowClient, alias: str) -> tuple[str, float] | None:
    """The version that an alias names, and the AUC of the run that made it."""
    try:
        version = client.get_model_version_by_alias(MODEL, alias)
    except MlflowException:
        return None
    return version.version, client.get_run(version.run_id).data.metrics["auc"]


def main(least: float, gain: float) -> int:
    client = MlflowClient()
    challenger, champion = auc_of(client, "challenger"), auc_of(client, "champion")
    if challenger is None:
        print("there is no challenger: run src/train.py first")
        return 1
    version, auc = challenger
    wanted = max(least, champion[1] + gain) if champion else least
    if auc < wanted:
        print(f"version {version} stays challenger: AUC {auc:.3f}, wanted {wanted:.3f}")
        return 1
    client.set_registered_model_alias(MODEL, "champion", version)
    client.set_model_version_tag(MODEL, version, "promoted_with_auc", f"{auc:.4f}")
    print(f"version {version} is champion: AUC {auc:.3f}, wanted {wanted:.3f}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--least", type=float, default=0.7, help="AUC that any champion must have")
    parser.add_argument("--gain", type=float, default=0.001, help="by how much it must be better")
    arguments = parser.parse_args()
    mlflow.set_experiment("churn")
    sys.exit(main(arguments.least, arguments.gain))
