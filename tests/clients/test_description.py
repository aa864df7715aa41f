"""The API does what its description says, whatever it is sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

# Left out are three. What a schema allows may still be refused: no schema knows the rules language, or which lists there
# are. Bad bodies, unknown parameters, and requests without a token are in tests/end_to_end/api.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture
def description(site):
    return schemathesis.openapi.from_url(f"http://{site.admin}/client/v4/openapi.json")


@pytest.fixture(scope="session")
def real(site):
    """Ids that exist, so that more is reached than refusals of unknown ones."""
    rooms = "/zones/ticketing/waiting_rooms"
    body = {"name": "fuzz", "host": "fuzz.example", "total_active_users": 200, "new_users_per_minute": 200}
    room = site.call("POST", rooms, body)["result"]["id"]
    rule = {"action": "bypass_waiting_room", "expression": "ssl"}
    rules = site.call("POST", f"{rooms}/{room}/rules", rule)["result"]
    lists = "/accounts/ticketing/rules/lists"
    created = site.call("POST", lists, {"name": "fuzz", "kind": "ip"})["result"]["id"]
    operation = site.call("POST", f"{lists}/{created}/items", [{"ip": "192.0.2.1"}])["result"]["operation_id"]
    return {
        "zone_id": "ticketing",
        "account_id": "ticketing",
        "room_id": room,
        "rule_id": rules[0]["id"],
        "list_id": created,
        "operation_id": operation,
        "version": "1",
        "entry": "1",
    }


schema = schemathesis.pytest.from_fixture("description")


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_operation(case, site, real):
    for name in set(case.path_parameters or {}) & set(real):
        case.path_parameters[name] = real[name]
    case.call_and_validate(checks=CHECKS, headers={"authorization": f"Bearer {site.token}"})
