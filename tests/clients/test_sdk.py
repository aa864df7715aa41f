"""The life of rooms, rules and lists, told to velvetrope by the API's own Python client."""

import time

import cloudflare
import pytest

ZONE = "ticketing"


@pytest.fixture
def client(site):
    return cloudflare.Cloudflare(api_token=site.token, base_url=site.api)


@pytest.fixture
def room(client):
    room = client.waiting_rooms.create(
        zone_id=ZONE,
        name="concert",
        host="concert.example",
        path="/concert",
        total_active_users=300,
        new_users_per_minute=200,
        description="The concert",
        cookie_attributes={"samesite": "lax", "secure": "always"},
        queueing_method="random",
        session_duration=10,
    )
    yield room
    client.waiting_rooms.delete(room.id, zone_id=ZONE)


def names(rules):
    return "".join(rule.description for rule in rules)


def test_zones_and_accounts(client):
    assert [zone.id for zone in client.zones.list()] == [ZONE]
    assert [account.id for account in client.accounts.list()] == [ZONE]
    assert client.user.tokens.verify().status == "active"


def test_rooms(client, room):
    assert (room.name, room.path, room.queueing_method) == ("concert", "/concert", "random")
    assert room.cookie_attributes.secure == "always"
    assert room.created_on is not None and room.modified_on is not None
    assert client.waiting_rooms.get(room.id, zone_id=ZONE).description == "The concert"
    assert room.id in [known.id for known in client.waiting_rooms.list(zone_id=ZONE)]
    assert room.id in [known.id for known in client.waiting_rooms.list(account_id=ZONE)]

    required = dict(name="concert", host="concert.example", total_active_users=400, new_users_per_minute=300)
    edited = client.waiting_rooms.edit(room.id, zone_id=ZONE, **required)
    assert (edited.total_active_users, edited.session_duration) == (400, 10)
    replaced = client.waiting_rooms.update(room.id, zone_id=ZONE, **required)
    assert (replaced.queueing_method, replaced.session_duration, replaced.path) == ("fifo", 5, "/")

    with pytest.raises(cloudflare.BadRequestError) as refused:
        client.waiting_rooms.create(zone_id=ZONE, **required)
    assert refused.value.errors[0].code == 1005


def test_room_settings(client):
    assert client.waiting_rooms.settings.get(zone_id=ZONE).search_engine_crawler_bypass is False
    client.waiting_rooms.settings.edit(zone_id=ZONE, search_engine_crawler_bypass=True)
    assert client.waiting_rooms.settings.get(zone_id=ZONE).search_engine_crawler_bypass is True
    client.waiting_rooms.settings.update(zone_id=ZONE, search_engine_crawler_bypass=False)


def test_rules(client, room):
    rules = client.waiting_rooms.rules

    def rule(name, **more):
        return dict(action="bypass_waiting_room", expression=f'http.host eq "{name}"', description=name, **more)

    for name in "abcd":
        created = rules.create(room.id, zone_id=ZONE, rules=rule(name))
    ids = {known.description: known.id for known in created}
    assert names(created) == "abcd" and len(ids["a"]) == 32

    def move(name, position):
        return names(rules.edit(ids[name], zone_id=ZONE, waiting_room_id=room.id, position=position, **rule(name)))

    assert move("d", {"index": 1}) == "dabc"
    assert move("d", {"index": 0}) == "dabc"
    assert move("d", {"index": 9}) == "abcd"
    assert move("c", {"before": ids["a"]}) == "cabd"
    assert move("c", {"after": ids["b"]}) == "abcd"
    assert move("d", {"before": ""}) == "dabc"
    assert move("d", {"after": ""}) == "abcd"

    draft = rules.edit(ids["b"], zone_id=ZONE, waiting_room_id=room.id, **rule("b", enabled=False))
    assert [known.enabled for known in draft] == [True, False, True, True]
    assert [known.version for known in draft] == ["1", "2", "1", "1"]
    assert names(rules.delete(ids["a"], zone_id=ZONE, waiting_room_id=room.id)) == "bcd"
    assert names(rules.update(room.id, zone_id=ZONE, rules=[rule("y"), rule("z")])) == "yz"
    assert names(rules.get(room.id, zone_id=ZONE)) == "yz"

    with pytest.raises(cloudflare.BadRequestError) as refused:
        rules.create(room.id, zone_id=ZONE, rules=dict(action="bypass_waiting_room", expression="http.hots eq 1"))
    error = refused.value.body["errors"][0]
    assert (error["code"], error["source"]["pointer"]) == (1003, "/expression")
    assert "Filter parsing error (1:1):" in error["message"] and "^^^^^^^^^" in error["message"]
    with pytest.raises(cloudflare.NotFoundError):
        rules.delete("nobody", zone_id=ZONE, waiting_room_id=room.id)


def test_lists(client):
    lists = client.rules.lists

    def done(operation):
        for _ in range(200):
            status = lists.bulk_operations.get(operation.operation_id, account_id=ZONE)
            if status.status not in ("pending", "running"):
                return status.status
            time.sleep(0.05)
        raise AssertionError("the operation does not end")

    kinds = {
        "ip": [{"ip": "10.0.0.0/8", "comment": "inside"}, {"ip": "2001:db8::/64"}],
        "asn": [{"asn": 64496}, {"asn": 64497}],
        "hostname": [{"hostname": {"url_hostname": "a.example"}}, {"hostname": {"url_hostname": "*.b.example"}}],
    }
    for kind, items in kinds.items():
        created = lists.create(account_id=ZONE, kind=kind, name=f"sdk_{kind}", description="from a test")
        assert (created.num_items, created.kind) == (0, kind)
        assert done(lists.items.create(created.id, account_id=ZONE, body=items)) == "completed"
        found = list(lists.items.list(created.id, account_id=ZONE, per_page=1))
        assert len(found) == 2
        assert lists.items.get(found[0].id, account_id=ZONE, list_id=created.id).id == found[0].id
        assert lists.update(created.id, account_id=ZONE, description="new").description == "new"
        assert lists.get(created.id, account_id=ZONE).num_items == 2
        removal = {"items": [{"id": found[0].id}]}
        operation = lists.items.delete(created.id, account_id=ZONE, extra_body=removal)
        assert done(operation) == "completed"
        assert done(lists.items.update(created.id, account_id=ZONE, body=items[:1])) == "completed"
        assert lists.get(created.id, account_id=ZONE).num_items == 1
        lists.delete(created.id, account_id=ZONE)
    assert not [known for known in lists.list(account_id=ZONE) if known.name.startswith("sdk_")]


def test_a_list_in_use_stays(client):
    admins = next(known for known in client.rules.lists.list(account_id=ZONE) if known.name == "admins")
    with pytest.raises(cloudflare.ConflictError):
        client.rules.lists.delete(admins.id, account_id=ZONE)


def test_wrong_and_weak_tokens(site):
    with pytest.raises(cloudflare.AuthenticationError):
        cloudflare.Cloudflare(api_token="vr_wrong", base_url=site.api, max_retries=0).zones.list()
    reader = cloudflare.Cloudflare(api_token=site.create_token("read"), base_url=site.api)
    assert [zone.id for zone in reader.zones.list()] == [ZONE]
    with pytest.raises(cloudflare.PermissionDeniedError):
        reader.rules.lists.create(account_id=ZONE, kind="ip", name="nope")


def test_a_rule_decides_the_next_request(site, client):
    shop = next(known for known in client.waiting_rooms.list(zone_id=ZONE) if known.name == "ticketshop")
    path = "/shop/42/sdkverified"
    assert site.visit(path)[0] == 302
    created = client.waiting_rooms.rules.create(
        shop.id,
        zone_id=ZONE,
        rules=dict(action="bypass_waiting_room", expression='ends_with(http.request.uri.path, "/sdkverified")'),
    )
    rule = list(created)[-1]
    status, headers = site.visit(path)
    assert (status, headers.get("set-cookie")) == (200, None)
    client.waiting_rooms.rules.delete(rule.id, zone_id=ZONE, waiting_room_id=shop.id)
    assert site.visit(path)[0] == 302
