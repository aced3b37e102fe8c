// What the service's JavaScript client has to get from the emulator: items, queries, batches, bulk, stored procedures as
// documents, and the change feed in both modes, by ranges of effective partition keys, across a split, resumed.
const assert = require("node:assert");
const { CosmosClient, ChangeFeedStartFrom, ChangeFeedMode, StatusCodes } = require("@azure/cosmos");

const endpoint = process.env.COSMOS_ENDPOINT, key = process.env.COSMOS_KEY;
const client = new CosmosClient({ endpoint, key });
let checks = 0;

function check(name, got, want) {
  assert.deepStrictEqual(got, want, `${name}: got ${JSON.stringify(got)} want ${JSON.stringify(want)}`);
  checks++;
}

async function admin(verb, body) {
  const answer = await fetch(endpoint + "_admin/" + verb, {
    method: "POST", headers: { "x-ms-cosmosfake-key": key }, body: JSON.stringify({ database: "shop", ...body }),
  });
  assert.strictEqual(answer.status, 200, await answer.clone().text());
  return answer.json();
}

// feed reads until every range said once that it has nothing new.
async function feed(container, options) {
  const iterator = container.items.getChangeFeedIterator(options);
  const items = [];
  let token, quiet = 0;
  while (iterator.hasMoreResults && quiet < 3) {
    const page = await iterator.readNext();
    if (page.statusCode === StatusCodes.NotModified) quiet++;
    else { quiet = 0; items.push(...page.result); }
    token = page.continuationToken;
  }
  return { items, token };
}

const ids = (items) => items.map((i) => Number(i.id)).sort((a, b) => a - b);
const upTo = (n) => [...Array(n).keys()];

async function everyday(database) {
  const { container } = await database.containers.create(
    { id: "everyday", partitionKey: { paths: ["/pk"] } }, { initialHeaders: { "x-ms-cosmosfake-ranges": "3" } });
  check("ranges", (await container.readPartitionKeyRanges().fetchAll()).resources.length, 3);
  const { resource: made, etag } = await container.items.create({ id: "1", pk: "a", n: 1 });
  check("create", made.n, 1);
  await assert.rejects(container.items.create({ id: "1", pk: "a" }), { code: 409 });
  await assert.rejects(container.item("1", "a").replace({ id: "1", pk: "a" }, { accessCondition: { type: "IfMatch", condition: '"other"' } }), { code: 412 });
  const replaced = await container.item("1", "a").replace({ id: "1", pk: "a", n: 2 }, { accessCondition: { type: "IfMatch", condition: etag } });
  check("replace", replaced.resource.n, 2);
  const patched = await container.item("1", "a").patch([{ op: "incr", path: "/n", value: 3 }]);
  check("patch", patched.resource.n, 5);
  check("read", (await container.item("1", "a").read()).resource.n, 5);
  check("no such item", (await container.item("2", "a").read()).statusCode, 404);

  const batch = await container.items.batch([
    { operationType: "Create", resourceBody: { id: "2", pk: "a" } },
    { operationType: "Delete", id: "1" },
  ], "a");
  check("batch", batch.result.map((r) => r.statusCode), [201, 204]);
  const bulk = await container.items.executeBulkOperations(upTo(50).map((i) => (
    { operationType: "Create", partitionKey: `k${i}`, resourceBody: { id: String(i), pk: `k${i}`, n: i } })));
  check("bulk", bulk.every((r) => r.response && r.response.statusCode === 201), true);
  const query = { query: "SELECT * FROM c WHERE c.n >= @n", parameters: [{ name: "@n", value: 40 }] };
  check("query", ids((await container.items.query(query).fetchAll()).resources), upTo(50).slice(40));
  check("query of a key", ids((await container.items.query("SELECT * FROM c", { partitionKey: "k7" }).fetchAll()).resources), [7]);
  check("ordered query", (await container.items.query("SELECT VALUE c.n FROM c WHERE c.n < 3 ORDER BY c.n DESC").fetchAll()).resources, [2, 1, 0]);
  const grouped = "SELECT LENGTH(c.id) AS digits, COUNT(1) AS items, AVG(c.n) AS mean FROM c WHERE c.n >= 0 GROUP BY LENGTH(c.id)";
  const groups = (await container.items.query(grouped).fetchAll()).resources.sort((a, b) => a.digits - b.digits);
  check("grouped query", groups, [{ digits: 1, items: 10, mean: 4.5 }, { digits: 2, items: 40, mean: 29.5 }]);
  const least = "SELECT VALUE MIN(c.n) FROM c WHERE c.n >= 0 GROUP BY LENGTH(c.id)";
  check("least of groups", (await container.items.query(least).fetchAll()).resources.sort((a, b) => a - b), [0, 10]);
  check("several aggregates", (await container.items.query("SELECT COUNT(1), MAX(c.n) AS most FROM c").fetchAll()).resources, [{ $1: 51, most: 49 }]);
  check("deletion of a key", (await container.deleteAllItemsForPartitionKey("k7")).statusCode, 200);
  check("query of a deleted key", (await container.items.query("SELECT * FROM c", { partitionKey: "k7" }).fetchAll()).resources, []);

  const { resource: procedure } = await container.scripts.storedProcedures.create({ id: "p", body: "function () {}" });
  check("stored procedure", (await container.scripts.storedProcedure("p").read()).resource.body, procedure.body);
  await container.scripts.storedProcedure("p").delete();
  check("stored procedures", (await container.scripts.storedProcedures.readAll().fetchAll()).resources, []);
}

// queries over two ranges, which the client puts together.
async function queries(database) {
  const { container: made } = await database.containers.create({ id: "queries", partitionKey: { paths: ["/pk"] } });
  const items = upTo(50).map((i) => ({ id: String(i), pk: `k${i % 7}`, n: (i * 17) % 50, g: i % 3, tags: [`t${i % 2}`, `t${i % 5}`] }));
  for (const item of items) await made.items.create(item);
  await admin("split", { container: "queries", range: "0" });
  const container = new CosmosClient({ endpoint, key }).database("shop").container("queries");
  check("ranges", (await container.getFeedRanges()).length, 2);
  const ask = async (query, parameters = []) =>
    (await container.items.query({ query, parameters }, { maxItemCount: 7, forceQueryPlan: parameters.length > 0 }).fetchAll()).resources;

  const ns = upTo(50), by = (...keys) => (a, b) => keys.map((k) => k(a, b)).find((c) => c !== 0) || 0;
  const sum = (list) => list.reduce((a, b) => a + b, 0);
  check("ordered", await ask("SELECT VALUE c.n FROM c ORDER BY c.n"), ns);
  check("ordered down", await ask("SELECT VALUE c.n FROM c WHERE c.n >= @n ORDER BY c.n DESC", [{ name: "@n", value: 20 }]), ns.slice(20).reverse());
  const sorted = [...items].sort(by((a, b) => a.g - b.g, (a, b) => b.n - a.n));
  check("ordered by two", (await ask("SELECT * FROM c ORDER BY c.g, c.n DESC")).map((i) => i.id), sorted.map((i) => i.id));
  check("first", await ask("SELECT TOP 3 c.n FROM c ORDER BY c.n"), [{ n: 0 }, { n: 1 }, { n: 2 }]);
  check("some", await ask("SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 5 LIMIT 10"), ns.slice(5, 15));
  check("any ten", (await ask("SELECT c.id FROM c OFFSET 5 LIMIT 10")).length, 10);
  check("any three", (await ask("SELECT TOP 3 c.id FROM c")).length, 3);
  const pks = upTo(7).map((i) => `k${i}`); // this client drops 0 and other falsy values from DISTINCT
  check("distinct", (await ask("SELECT DISTINCT VALUE c.pk FROM c")).sort(), pks);
  check("distinct, ordered", await ask("SELECT DISTINCT VALUE c.pk FROM c ORDER BY c.pk DESC"), [...pks].reverse());
  const wants = { COUNT: 50, MIN: 0, MAX: 49, AVG: sum(ns) / 50, SUM: sum(ns) };
  for (const [name, want] of Object.entries(wants)) check(name, await ask(`SELECT VALUE ${name}(c.n) FROM c`), [want]);
  check("MIN of texts", await ask("SELECT VALUE MIN(c.pk) FROM c"), ["k0"]);
  check("MAX of one range's", await ask("SELECT VALUE MAX(c.n) FROM c WHERE c.id = '7'"), [items[7].n]);
  check("COUNTIF", await ask("SELECT VALUE COUNTIF(c.n < 10) FROM c"), [10]);
  const all = "COUNT(1) AS count, MIN(c.n) AS low, MAX(c.n) AS high, AVG(c.n) AS mean, SUM(c.n) AS sum";
  const of = (list) => ({ count: list.length, low: Math.min(...list), high: Math.max(...list), mean: sum(list) / list.length, sum: sum(list) });
  check("several", await ask(`SELECT ${all} FROM c`), [of(ns)]);
  const grouped = upTo(3).map((g) => ({ g, ...of(items.filter((i) => i.g === g).map((i) => i.n)) }));
  check("GROUP BY", (await ask(`SELECT c.g, ${all} FROM c GROUP BY c.g`)).sort((a, b) => a.g - b.g), grouped);
  check("GROUP BY of an expression", (await ask("SELECT c.g * 2 AS twice, COUNT(1) FROM c GROUP BY c.g * 2")).sort((a, b) => a.twice - b.twice),
    grouped.map(({ g, count }) => ({ twice: g * 2, $1: count })));
  check("GROUP BY of values", (await ask("SELECT VALUE MAX(c.n) FROM c GROUP BY c.g")).sort((a, b) => a - b), grouped.map((i) => i.high).sort((a, b) => a - b));
  check("GROUP BY alone", (await ask("SELECT VALUE c.g FROM c GROUP BY c.g")).sort(), [0, 1, 2]);
  const pairs = items.flatMap((i) => i.tags.filter((t) => t === "t1").map((t) => `${i.id} ${t}`)).sort();
  check("JOIN", (await ask("SELECT VALUE c.id || ' ' || t FROM c JOIN t IN c.tags WHERE t = 't1'")).sort(), pairs);
  check("scalars", (await ask("SELECT VALUE c.n + (SELECT VALUE COUNT(1) FROM t IN c.tags) FROM c")).sort((a, b) => a - b), ns.map((n) => n + 2));
  check("no FROM", await ask("SELECT VALUE 1 + 1"), [2]);
  check("no FROM, planned", await ask("SELECT VALUE 1 + @n", [{ name: "@n", value: 1 }]), [2]);
  await assert.rejects(ask("SELECT VALUE {n: COUNT(1)} FROM c"), /Compositions of aggregates/);
  await assert.rejects(ask("SELECT VALUE c.n FROM c WHERE c.n >"), /SC1001/);
}

// A query in pages goes on when its range is split, twice, between them: the client hands what it has of the range that is
// gone to each of its parts.
async function splitQuery(database) {
  const { container } = await database.containers.create({ id: "split", partitionKey: { paths: ["/pk"], version: 2 } });
  for (const i of upTo(60)) await container.items.create({ id: String(i), pk: `k${i}` });
  const reader = container.items.query("SELECT * FROM c", { maxItemCount: 7 });
  const seen = [...(await reader.fetchNext()).resources];
  await admin("split", { container: "split", range: "0" });
  seen.push(...(await reader.fetchNext()).resources);
  await admin("split", { container: "split", range: "1" });
  while (reader.hasMoreResults()) seen.push(...((await reader.fetchNext()).resources || []));
  check("a query across splits", ids(seen), upTo(60));
}

async function latestVersion(database) {
  for (const version of [1, 2]) {
    const id = `latest${version}`;
    const { container } = await database.containers.create({ id, partitionKey: { paths: ["/pk"], version } });
    for (const i of upTo(60)) await container.items.create({ id: String(i), pk: `k${i}` });
    const from = ChangeFeedStartFrom;
    const first = await feed(container, { changeFeedStartFrom: from.Beginning(), maxItemCount: 7 });
    check("from the beginning", ids(first.items), upTo(60));
    check("from a time", (await feed(container, { changeFeedStartFrom: from.Time(new Date(Date.now() - 3600e3)) })).items.length, 60);
    check("from a time to come", (await feed(container, { changeFeedStartFrom: from.Time(new Date(Date.now() + 3600e3)) })).items, []);
    check("of a key", ids((await feed(container, { changeFeedStartFrom: from.Beginning("k7") })).items), [7]);
    const now = await feed(container, { changeFeedStartFrom: from.Now() });
    check("from now", now.items, []);
    const [whole] = await container.getFeedRanges();

    // A reader is in the middle when the range splits.
    const iterator = container.items.getChangeFeedIterator({ changeFeedStartFrom: from.Beginning(), maxItemCount: 10 });
    let reader = (await iterator.readNext()).result;
    check("a page", reader.length, 10);
    await admin("split", { container: id, range: "0" });
    for (let quiet = 0; quiet < 4;) {
      const page = await iterator.readNext();
      if (page.statusCode === StatusCodes.NotModified) quiet++;
      else { quiet = 0; reader = reader.concat(page.result); }
    }
    check("across a split", ids(reader), upTo(60));

    for (const i of upTo(80).slice(60)) await container.items.create({ id: String(i), pk: `k${i}` });
    check("resumed", ids((await feed(container, { changeFeedStartFrom: from.Continuation(first.token) })).items), upTo(80).slice(60));
    check("from now, resumed", ids((await feed(container, { changeFeedStartFrom: from.Continuation(now.token) })).items), upTo(80).slice(60));
    check("a range from before the split", ids((await feed(container, { changeFeedStartFrom: from.Beginning(whole) })).items), upTo(80));
    const fresh = new CosmosClient({ endpoint, key }).database("shop").container(id);
    const ranges = await fresh.getFeedRanges();
    const parts = await Promise.all(ranges.map((r) => feed(fresh, { changeFeedStartFrom: from.Beginning(r) })));
    check("children", [ranges.length, ids(parts.flatMap((p) => p.items))], [2, upTo(80)]);

    // Half of a physical range, by effective partition key.
    const { minInclusive, maxExclusive } = ranges[0];
    const middle = version === 1 ? "05C1C7" : "0C00";
    assert(minInclusive < middle && middle < maxExclusive, `${middle} is not within ${minInclusive} and ${maxExclusive}`);
    const FeedRange = ranges[0].constructor; // which has no name outside
    const halves = [new FeedRange(minInclusive, middle), new FeedRange(middle, maxExclusive)];
    const read = await Promise.all(halves.map((r) => feed(fresh, { changeFeedStartFrom: from.Beginning(r) })));
    check("halves of a range", ids(read.flatMap((p) => p.items)), ids(parts[0].items));
    check("neither half is all", read.some((p) => p.items.length === parts[0].items.length), false);
  }
}

async function allVersions(database) {
  const { container } = await database.containers.create({ id: "versions", partitionKey: { paths: ["/pk"], version: 2 } });
  const options = { changeFeedMode: ChangeFeedMode.AllVersionsAndDeletes };
  const start = await feed(container, { ...options, changeFeedStartFrom: ChangeFeedStartFrom.Now() });
  for (const i of upTo(10)) await container.items.create({ id: String(i), pk: `k${i}` });
  await container.items.upsert({ id: "3", pk: "k3", n: 2 });
  const first = await feed(container, { ...options, changeFeedStartFrom: ChangeFeedStartFrom.Continuation(start.token) });
  check("operations", first.items.map((i) => i.metadata.operationType), [...Array(10).fill("create"), "replace"]);
  check("the replaced one", [first.items[10].current.n, first.items[10].metadata.previousImageLSN], [2, first.items[3].metadata.lsn]);
  await admin("split", { container: "versions", range: "0" });
  for (const i of upTo(10)) await container.item(String(i), `k${i}`).delete();
  const second = await feed(container, { ...options, changeFeedStartFrom: ChangeFeedStartFrom.Continuation(first.token) });
  check("deletions across a split", second.items.map((i) => i.metadata.id).sort(), upTo(10).map(String));
  check("whose keys", second.items.every((i) => i.metadata.partitionKey.pk === `k${i.metadata.id}`), true);
  await assert.rejects(feed(container, { ...options, changeFeedStartFrom: ChangeFeedStartFrom.Beginning() }));
}

(async () => {
  const { database } = await client.databases.create({ id: "shop" });
  await everyday(database);
  await queries(database);
  await splitQuery(database);
  await latestVersion(database);
  await allVersions(database);
  console.log("passed", checks);
})().catch((e) => { console.error(e); process.exit(1); });
