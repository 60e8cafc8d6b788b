"""Prices and bills: the calls that are made and what is read from the answers.

moto has Cost Explorer with answers that a test puts there, and no Price List API: its one call is
checked by botocore's Stubber against the service's own description (parameters and shapes).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from botocore.stub import Stubber
from moto.core.base_backend import BackendDict
from moto.server import ThreadedMotoServer

from provision.adapters.cloud.prices import HOME, live_prices, spent
from provision.adapters.cloud.session import Cloud
from provision.errors import MissingError, ProvisionError
from tests.conftest import Cli

pytestmark = [pytest.mark.xdist_group("cloud-services"), pytest.mark.slow]
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


def product(*prices: str, unit: str = "Hrs") -> str:
    """One product as the list has it: JSON in a text, terms and dimensions by invented codes."""
    dimensions = {
        f"{n}.JRTCKXETXF.6YS6EN2CT7": {"unit": unit, "pricePerUnit": {"USD": price}}
        for n, price in enumerate(prices)
    }
    return json.dumps({"terms": {"OnDemand": {"A.JRTCKXETXF": {"priceDimensions": dimensions}}}})


def asked(service: str, **fields: str) -> dict[str, Any]:
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]
    return {"ServiceCode": service, "Filters": filters}


MACHINE = {
    "instanceType": "t3.small", "regionCode": "eu-west-1", "operatingSystem": "Linux",
    "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
}  # fmt: skip
DATABASE = {
    "instanceType": "db.t4g.micro", "regionCode": "eu-west-1", "databaseEngine": "PostgreSQL",
    "deploymentOption": "Single-AZ",
}  # fmt: skip


def test_prices_are_those_of_the_one_product_that_fits() -> None:
    cloud = Cloud(KEYS, HOME)
    with Stubber(cloud.client("pricing")) as stub:
        stub.add_response(
            "get_products", {"PriceList": [product("0.0228000000")]}, asked("AmazonEC2", **MACHINE)
        )
        stub.add_response(
            "get_products", {"PriceList": [product("0.0170")]}, asked("AmazonRDS", **DATABASE)
        )
        found = live_prices(cloud, "eu-west-1", ["t3.small", "db.t4g.micro"])
        stub.assert_no_pending_responses()
    assert found == {"t3.small": 0.0228, "db.t4g.micro": 0.017}


@pytest.mark.parametrize(
    "products",
    [
        [],
        [product("0.02"), product("0.03")],
        [product("0.0000000000")],
        [product("5", unit="Quantity")],
        [json.dumps({"terms": {"Reserved": {}}})],
    ],
)
def test_what_has_no_single_price_is_left_to_the_table(products: list[str]) -> None:
    cloud = Cloud(KEYS, HOME)
    with Stubber(cloud.client("pricing")) as stub:
        stub.add_response("get_products", {"PriceList": products})
        assert live_prices(cloud, "eu-west-1", ["t3.small"]) == {}


def test_a_missing_right_is_named() -> None:
    cloud = Cloud(KEYS, HOME)
    with Stubber(cloud.client("pricing")) as stub:
        message = "User: arn:x is not authorized to perform: pricing:GetProducts"
        stub.add_client_error("get_products", "AccessDeniedException", message, 400)
        with pytest.raises(ProvisionError) as refused:
            live_prices(cloud, "eu-west-1", ["t3.small"])
    assert "pricing:GetProducts" in refused.value.message
    assert isinstance(refused.value, MissingError)


@pytest.fixture
def endpoint() -> Iterator[str]:
    BackendDict.reset()  # a bill that another test put there stays for the same question
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def put_bill(endpoint: str, *groups: tuple[str, str]) -> None:
    entries = [
        {"Keys": [service], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}}
        for service, amount in groups
    ]
    period = {"Start": "2026-11-01", "End": "2026-11-22"}
    results = {"results": [{"ResultsByTime": [{"TimePeriod": period, "Groups": entries}]}]}
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"))
    connection.request("POST", "/moto-api/static/ce/cost-and-usage-results", json.dumps(results))
    assert connection.getresponse().status == 201
    connection.close()


def test_a_bill_is_summed_by_service(endpoint: str) -> None:
    put_bill(endpoint, ("Amazon EC2", "3.104"), ("Amazon RDS", "2.2"), ("Amazon EC2", "0.1"))
    cloud = Cloud({**KEYS, "AWS_ENDPOINT_URL": endpoint}, HOME)
    found = spent(cloud, "churn", date(2026, 11, 1), date(2026, 11, 22))
    assert dict(found.by_service) == {"Amazon EC2": 3.2, "Amazon RDS": 2.2}
    assert found.total == 5.4


def test_a_stack_that_nobody_billed_yet_cost_nothing(endpoint: str) -> None:
    cloud = Cloud({**KEYS, "AWS_ENDPOINT_URL": endpoint}, HOME)
    assert spent(cloud, "new", date(2026, 11, 1), date(2026, 11, 2)).total == 0


def test_the_command_asks_for_the_bill_of_its_own_stack(cli: Cli, endpoint: str) -> None:
    cli.spec("name: churn\ntarget: aws\naws:\n  region: eu-west-1\n")
    cli.environment |= {**KEYS, "AWS_ENDPOINT_URL": endpoint}
    put_bill(endpoint, ("Amazon EC2", "3.1"))
    spent = cli.json("cost", "--actual")["spent"]
    assert (spent["total"], spent["by_service"]) == (3.1, {"Amazon EC2": 3.1})
    assert cli.json("cost")["spent"] is None
