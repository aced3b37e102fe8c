"""What the service's Python client has to get from the emulator: change feed in both modes, hierarchical keys, time to live, queries over ranges."""

import json
import os
import ssl
import time
import urllib.request
from datetime import datetime, timedelta, timezone

from azure.cosmos import CosmosClient, PartitionKey, exceptions

ENDPOINT, KEY, CA = os.environ["COSMOS_ENDPOINT"], os.environ["COSMOS_KEY"], os.environ["COSMOS_CA"]
client = CosmosClient(ENDPOINT, KEY, connection_verify=CA)
database = client.create_database("shop")
checks = 0


def check(name, got, want):
    global checks
    if got != want:
        raise AssertionError(f"{name}: got {got!r} want {want!r}")
    checks += 1


def admin(verb, **body):
    request = urllib.request.Request(
        ENDPOINT + "_admin/" + verb, json.dumps({"database": "shop", **body}).encode(), {"x-ms-cosmosfake-key": KEY}
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=CA)) as answer:
        return json.load(answer)


def feed(container, **options):
    """All pages of a change feed, and the token behind them."""
    pages = container.query_items_change_feed(**options)
    items = list(pages)
    return items, container.client_connection.last_response_headers["etag"]


def ids(items):
    return sorted(int(item["id"]) for item in items)


def latest_version():
    container = database.create_container("latest", PartitionKey("/pk"))
    for i in range(60):
        container.create_item({"id": str(i), "pk": f"k{i}"})
    began = datetime.now(timezone.utc)
    items, token = feed(container, start_time="Beginning")
    check("from the beginning", ids(items), list(range(60)))
    check("nothing new", feed(container, continuation=token)[0], [])
    check("from an hour ago", len(feed(container, start_time=began - timedelta(hours=1))[0]), 60)
    check("from an hour ahead", feed(container, start_time=began + timedelta(hours=1))[0], [])
    check("of a key", ids(feed(container, start_time="Beginning", partition_key="k7")[0]), [7])
    _, now = feed(container, start_time="Now")
    whole = list(container.read_feed_ranges())
    check("ranges", len(whole), 1)

    children = admin("split", container="latest", range="0")
    check("children", [c["range"] for c in children], ["1", "2"])
    for i in range(60, 80):
        container.create_item({"id": str(i), "pk": f"k{i}"})
    container.upsert_item({"id": "5", "pk": "k5", "n": 2})
    want = [5] + list(range(60, 80))
    check("a token from before the split", ids(feed(container, continuation=token)[0]), want)
    check("from now, before the split", ids(feed(container, continuation=now)[0]), want)
    check("a range from before the split", ids(feed(container, feed_range=whole[0], start_time="Beginning")[0]), list(range(80)))
    check("of a key, after the split", ids(feed(container, start_time="Beginning", partition_key="k7")[0]), [7])
    ranges = list(container.read_feed_ranges(force_refresh=True))
    parts = [feed(container, feed_range=r, start_time="Beginning") for r in ranges]
    check("children apart", (len(ranges), ids(parts[0][0] + parts[1][0])), (2, list(range(80))))

    admin("merge", container="latest", ranges=["1", "2"])
    check("ranges of before a merge", ids(sum((feed(container, feed_range=r, start_time="Beginning")[0] for r in ranges), [])), list(range(80)))


def all_versions():
    container = database.create_container("versions", PartitionKey("/pk"))
    _, token = feed(container, start_time="Now", mode="AllVersionsAndDeletes")
    container.create_item({"id": "1", "pk": "a"})
    container.upsert_item({"id": "1", "pk": "a", "n": 2})
    container.delete_item("1", "a")
    items, token = feed(container, continuation=token)
    check("operations", [i["metadata"]["operationType"] for i in items], ["create", "replace", "delete"])
    check("the replaced one", items[1]["current"]["n"], 2)
    check("the chain", [i["metadata"]["previousImageLSN"] for i in items[1:]], [i["metadata"]["lsn"] for i in items[:-1]])
    check("the deleted one", (items[2]["metadata"]["id"], items[2]["metadata"]["partitionKey"]), ("1", {"pk": "a"}))
    for i in range(10):
        container.create_item({"id": str(i), "pk": f"k{i}"})
    admin("split", container="versions", range="0")
    for i in range(10):
        container.delete_item(str(i), f"k{i}")
    items, token = feed(container, continuation=token)
    kinds = [i["metadata"]["operationType"] for i in items]
    check("through a split", (kinds.count("create"), kinds.count("delete")), (10, 10))
    check("nothing new", feed(container, continuation=token)[0], [])


def hierarchical_keys():
    container = database.create_container("tenants", PartitionKey(["/tenant", "/user"], kind="MultiHash"))
    for i in range(20):
        container.create_item({"id": str(i), "tenant": f"t{i % 2}", "user": i})
    check("a read", container.read_item("4", ["t0", 4])["id"], "4")
    check("a query of a tenant", ids(container.query_items("SELECT * FROM c", partition_key=["t1"])), list(range(1, 20, 2)))
    check("a feed of a key", ids(feed(container, start_time="Beginning", partition_key=["t0", 4])[0]), [4])
    check("a feed of a tenant", ids(feed(container, start_time="Beginning", partition_key=["t0"])[0]), list(range(0, 20, 2)))
    admin("split", container="tenants", range="0")
    check("a feed of a tenant, after a split", ids(feed(container, start_time="Beginning", partition_key=["t0"])[0]), list(range(0, 20, 2)))
    container.delete_all_items_by_partition_key(["t0", 4])
    check("a query of a tenant, after a deletion", ids(container.query_items("SELECT * FROM c", partition_key=["t0"])), [0, 2, *range(6, 20, 2)])
    try:
        container.create_item({"id": "large", "tenant": "t0", "user": 0, "text": "x" * (5 << 20)})
        raise AssertionError("an item of 5 MB: no error")
    except exceptions.CosmosHttpResponseError as e:
        check("an item of 5 MB", e.status_code, 413)


def queries():
    """Queries over two ranges, which the client puts together."""
    container = database.create_container("queries", PartitionKey("/pk"))
    items = [{"id": str(i), "pk": f"k{i % 7}", "n": (i * 17) % 50, "g": i % 3, "tags": [f"t{i % 2}", f"t{i % 5}"]} for i in range(50)]
    for i in items:
        container.create_item(i if int(i["id"]) % 10 else {**i, "odd": None})
    admin("split", container="queries", range="0")
    container = CosmosClient(ENDPOINT, KEY, connection_verify=CA).get_database_client("shop").get_container_client("queries")
    check("ranges", len(list(container.read_feed_ranges())), 2)

    def ask(query, **parameters):
        named = [{"name": "@" + name, "value": value} for name, value in parameters.items()]
        return list(container.query_items(query, parameters=named, enable_cross_partition_query=True, max_item_count=7))

    ns = sorted(i["n"] for i in items)
    check("ordered", ask("SELECT VALUE c.n FROM c ORDER BY c.n"), ns)
    check("ordered down", [r["n"] for r in ask("SELECT c.n, c.id FROM c WHERE c.n >= @n ORDER BY c.n DESC", n=20)], [n for n in reversed(ns) if n >= 20])
    by = sorted(items, key=lambda i: (i["g"], -i["n"]))
    check("ordered by two", [i["id"] for i in ask("SELECT * FROM c ORDER BY c.g, c.n DESC")], [i["id"] for i in by])
    check("first", ask("SELECT TOP 3 VALUE c.n FROM c ORDER BY c.n"), ns[:3])
    check("some", ask("SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 5 LIMIT 10"), ns[5:15])
    check("any ten", len(ask("SELECT c.id FROM c OFFSET 5 LIMIT 10")), 10)
    check("any three", len(ask("SELECT TOP @n c.id FROM c", n=3)), 3)
    check("distinct", sorted(ask("SELECT DISTINCT VALUE c.g FROM c")), [0, 1, 2])
    check("distinct, ordered", ask("SELECT DISTINCT VALUE c.g FROM c ORDER BY c.g DESC"), [2, 1, 0])
    for name, want in {"COUNT": 50, "MIN": min(ns), "MAX": max(ns), "AVG": sum(ns) / 50, "SUM": sum(ns)}.items():
        check(name, ask(f"SELECT VALUE {name}(c.n) FROM c"), [want])
    check("MIN of texts", ask("SELECT VALUE MIN(c.pk) FROM c"), ["k0"])
    check("MAX of one range's", ask("SELECT VALUE MAX(c.n) FROM c WHERE c.id = '7'"), [items[7]["n"]])
    check("COUNTIF", ask("SELECT VALUE COUNTIF(c.n < 10) FROM c"), [10])
    check("COUNT of what is there", ask("SELECT VALUE COUNT(c.odd) FROM c"), [5])
    tags = sorted([i["id"], t] for i in items for t in i["tags"] if t == "t1")
    check("JOIN", sorted(ask("SELECT VALUE [c.id, t] FROM c JOIN t IN c.tags WHERE t = 't1'")), tags)
    check("scalars", sorted(ask("SELECT VALUE c.n * 2 + (SELECT VALUE COUNT(1) FROM t IN c.tags) FROM c")), [2 * n + 2 for n in ns])
    check("no FROM", ask("SELECT VALUE 1 + 1"), [2])
    for query, feature in {"SELECT c.g, COUNT(1) AS n FROM c GROUP BY c.g": "GroupBy", "SELECT MAX(c.n) AS n FROM c": "NonValueAggregate"}.items():
        try:
            raise AssertionError(f"{query}: got {ask(query)}")
        except exceptions.CosmosHttpResponseError as e:
            check("what this client lacks", (e.status_code, f"Query contained {feature}" in str(e)), (400, True))
    check("groups of a key", list(container.query_items("SELECT c.g, COUNT(1) AS n FROM c GROUP BY c.g", partition_key="k1")),
          [{"g": g, "n": sum(i["pk"] == "k1" and i["g"] == g for i in items)} for g in (1, 2, 0)])
    try:
        ask("SELECT VALUE c.n FROM c WHERE c.n >")
        raise AssertionError("a query that is cut off: no error")
    except exceptions.CosmosHttpResponseError as e:
        check("a query that is cut off", (e.status_code, "SC1001" in str(e)), (400, True))


def time_to_live():
    container = database.create_container("sessions", PartitionKey("/pk"), default_ttl=-1)
    _, token = feed(container, start_time="Now", mode="AllVersionsAndDeletes")
    container.create_item({"id": "1", "pk": "a", "ttl": 1})
    container.create_item({"id": "2", "pk": "a"})
    deadline = time.monotonic() + 20
    seen = []
    while not any(i["metadata"].get("timeToLiveExpired") for i in seen):
        if time.monotonic() > deadline:
            raise AssertionError(f"no deletion by time to live: {seen}")
        items, token = feed(container, continuation=token)
        seen += items
    check("operations", [i["metadata"]["operationType"] for i in seen], ["create", "create", "delete"])
    try:
        container.read_item("1", "a")
        raise AssertionError("the document is still there")
    except exceptions.CosmosResourceNotFoundError:
        pass
    check("the other", container.read_item("2", "a")["id"], "2")


time_to_live()
all_versions()
hierarchical_keys()
queries()
latest_version()  # last: it merges, which ends the feed of all versions
try:
    feed(database.get_container_client("versions"), start_time="Now", mode="AllVersionsAndDeletes")
    raise AssertionError("all versions after a merge: no error")
except exceptions.CosmosHttpResponseError as e:
    check("all versions after a merge", e.status_code, 500)
print("passed", checks)
