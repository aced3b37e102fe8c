// What the service's Java client, in gateway mode, has to get from the emulator: its change-feed processor, with two hosts,
// reads through a split. Its leases are documents in a container of their own, taken by etag and found by query. And it
// puts together the results of queries over two ranges.

import com.azure.cosmos.ChangeFeedProcessor;
import com.azure.cosmos.ChangeFeedProcessorBuilder;
import com.azure.cosmos.CosmosAsyncClient;
import com.azure.cosmos.CosmosAsyncContainer;
import com.azure.cosmos.CosmosClientBuilder;
import com.azure.cosmos.GatewayConnectionConfig;
import com.azure.cosmos.models.ChangeFeedProcessorOptions;
import com.azure.cosmos.models.CosmosQueryRequestOptions;
import com.azure.cosmos.models.PartitionKey;
import com.azure.cosmos.models.SqlParameter;
import com.azure.cosmos.models.SqlQuerySpec;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;

public class Client {
  static final String ENDPOINT = System.getenv("COSMOS_ENDPOINT"), KEY = System.getenv("COSMOS_KEY");
  static final ObjectMapper JSON = new ObjectMapper();
  static int checks;

  static void check(String name, Object got, Object want) {
    if (!got.equals(want)) throw new AssertionError(name + ": got " + got + " want " + want);
    checks++;
  }

  static void await(String what, BooleanSupplier done) throws Exception {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (!done.getAsBoolean()) {
      if (System.nanoTime() > deadline) throw new AssertionError(what + " did not come about");
      Thread.sleep(50);
    }
    checks++;
  }

  /** trust makes this process trust the emulator's authority, and nobody else. */
  static void trust(String pem) throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    try (FileInputStream in = new FileInputStream(pem)) {
      store.setCertificateEntry("emulator", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    Path file = Files.createTempFile("emulator", ".p12");
    file.toFile().deleteOnExit();
    try (var out = Files.newOutputStream(file)) {
      store.store(out, "changeit".toCharArray());
    }
    System.setProperty("javax.net.ssl.trustStore", file.toString());
    System.setProperty("javax.net.ssl.trustStorePassword", "changeit");
    System.setProperty("javax.net.ssl.trustStoreType", "PKCS12");
  }

  static void admin(String verb, String body) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(ENDPOINT + "_admin/" + verb)).header("x-ms-cosmosfake-key", KEY)
        .POST(HttpRequest.BodyPublishers.ofString(body)).build();
    var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    check(verb + " " + answer.body(), answer.statusCode(), 200);
  }

  static void write(CosmosAsyncContainer container, int from, int to) {
    for (int i = from; i < to; i++) {
      ObjectNode item = JSON.createObjectNode().put("id", "" + i).put("pk", "k" + i);
      container.createItem(item, new PartitionKey("k" + i), null).block();
    }
  }

  static ChangeFeedProcessor host(String name, CosmosAsyncContainer feed, CosmosAsyncContainer leases, Map<String, Set<String>> seen) {
    ChangeFeedProcessorOptions options = new ChangeFeedProcessorOptions().setStartFromBeginning(true).setMaxItemCount(10)
        .setFeedPollDelay(Duration.ofMillis(100)).setLeaseAcquireInterval(Duration.ofMillis(500))
        .setLeaseRenewInterval(Duration.ofSeconds(1)).setLeaseExpirationInterval(Duration.ofSeconds(10));
    return new ChangeFeedProcessorBuilder().hostName(name).feedContainer(feed).leaseContainer(leases).options(options)
        .handleChanges((List<JsonNode> items) -> items.forEach(item ->
            seen.computeIfAbsent(item.get("id").asText(), id -> ConcurrentHashMap.newKeySet()).add(name)))
        .buildChangeFeedProcessor();
  }

  /** owners are the hosts that hold the leases of ranges. */
  static List<String> owners(CosmosAsyncContainer leases) {
    return leases.queryItems("SELECT * FROM c", new CosmosQueryRequestOptions(), JsonNode.class).collectList().block().stream()
        .filter(lease -> lease.has("LeaseToken")).map(lease -> lease.path("Owner").asText()).sorted().toList();
  }

  static <T> List<T> ask(CosmosAsyncContainer container, String query, Class<T> kind) {
    var spec = new SqlQuerySpec(query, new SqlParameter("@n", 20));
    return container.queryItems(spec, new CosmosQueryRequestOptions(), kind).byPage(7).flatMapIterable(page -> page.getResults()).collectList().block();
  }

  static List<Integer> range(int from, int to) {
    return IntStream.range(from, to).boxed().toList();
  }

  static void queries(CosmosAsyncContainer container) throws Exception {
    for (int i = 0; i < 50; i++) {
      ObjectNode item = JSON.createObjectNode().put("id", "" + i).put("pk", "k" + i % 7).put("n", i * 17 % 50).put("g", i % 3);
      item.putArray("tags").add("t" + i % 2).add("t" + i % 5);
      container.createItem(item, new PartitionKey("k" + i % 7), null).block();
    }
    admin("split", "{\"database\":\"shop\",\"container\":\"queries\",\"range\":\"0\"}");
    List<Integer> down = new ArrayList<>(range(20, 50));
    Collections.reverse(down);
    check("ordered", ask(container, "SELECT VALUE c.n FROM c ORDER BY c.n", Integer.class), range(0, 50));
    check("ordered down", ask(container, "SELECT VALUE c.n FROM c WHERE c.n >= @n ORDER BY c.n DESC", Integer.class), down);
    List<String> sorted = range(0, 50).stream().sorted(Comparator.<Integer>comparingInt(i -> i % 3).thenComparingInt(i -> -(i * 17 % 50)))
        .map(i -> "" + i).toList();
    check("ordered by two", ask(container, "SELECT * FROM c ORDER BY c.g, c.n DESC", JsonNode.class).stream().map(i -> i.get("id").asText()).toList(), sorted);
    check("first", ask(container, "SELECT TOP 3 VALUE c.n FROM c ORDER BY c.n", Integer.class), range(0, 3));
    check("some", ask(container, "SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 5 LIMIT 10", Integer.class), range(5, 15));
    check("any ten", ask(container, "SELECT c.id FROM c OFFSET 5 LIMIT 10", JsonNode.class).size(), 10);
    check("any three", ask(container, "SELECT TOP 3 c.id FROM c", JsonNode.class).size(), 3);
    check("distinct", Set.copyOf(ask(container, "SELECT DISTINCT VALUE c.g FROM c", Integer.class)), Set.of(0, 1, 2));
    check("distinct, ordered", ask(container, "SELECT DISTINCT VALUE c.g FROM c ORDER BY c.g", Integer.class), range(0, 3));
    for (var want : Map.of("COUNT", 50.0, "MIN", 0.0, "MAX", 49.0, "AVG", 24.5, "SUM", 1225.0).entrySet()) {
      check(want.getKey(), ask(container, "SELECT VALUE " + want.getKey() + "(c.n) FROM c", Double.class), List.of(want.getValue()));
    }
    check("MIN of texts", ask(container, "SELECT VALUE MIN(c.pk) FROM c", String.class), List.of("k0"));
    check("MAX of one range's", ask(container, "SELECT VALUE MAX(c.n) FROM c WHERE c.id = '7'", Integer.class), List.of(7 * 17 % 50));
    Set<List<Integer>> groups = new HashSet<>();
    for (int g = 0; g < 3; g++) {
      int of = g;
      var ns = range(0, 50).stream().filter(i -> i % 3 == of).map(i -> i * 17 % 50).toList();
      groups.add(List.of(g, ns.size(), Collections.min(ns), Collections.max(ns), ns.stream().mapToInt(n -> n).sum()));
    }
    Set<List<Integer>> got = new HashSet<>();
    String several = "COUNT(1) AS count, MIN(c.n) AS low, MAX(c.n) AS high, SUM(c.n) AS total";
    for (var row : ask(container, "SELECT c.g, " + several + " FROM c GROUP BY c.g", JsonNode.class)) {
      got.add(List.of("g", "count", "low", "high", "total").stream().map(name -> row.get(name).asInt()).toList());
    }
    check("GROUP BY", got, groups);
    var all = ask(container, "SELECT " + several + ", AVG(c.n) AS mean FROM c", JsonNode.class);
    check("several", all.stream().map(row -> List.of(row.get("count").asInt(), row.get("low").asInt(), row.get("high").asInt(), row.get("mean").asDouble())).toList(),
        List.of(List.of(50, 0, 49, 24.5)));
    var pairs = new HashSet<>(ask(container, "SELECT VALUE c.id || ' ' || t FROM c JOIN t IN c.tags WHERE t = 't3'", String.class));
    check("JOIN", pairs, Set.copyOf(range(0, 50).stream().filter(i -> i % 5 == 3).map(i -> i + " t3").toList()));
    check("no FROM", ask(container, "SELECT VALUE 1 + 1", Integer.class), List.of(2));
  }

  public static void main(String[] args) throws Exception {
    trust(System.getenv("COSMOS_CA"));
    CosmosAsyncClient client = new CosmosClientBuilder().endpoint(ENDPOINT).key(KEY)
        .gatewayMode(new GatewayConnectionConfig()).contentResponseOnWriteEnabled(true).buildAsyncClient();
    client.createDatabase("shop").block();
    var database = client.getDatabase("shop");
    database.createContainer("orders", "/pk").block();
    database.createContainer("leases", "/id").block();
    database.createContainer("queries", "/pk").block();
    queries(database.getContainer("queries"));
    CosmosAsyncContainer orders = database.getContainer("orders"), leases = database.getContainer("leases");

    write(orders, 0, 50);
    Map<String, Set<String>> seen = new ConcurrentHashMap<>();
    ChangeFeedProcessor one = host("one", orders, leases, seen), two = host("two", orders, leases, seen);
    one.start().block();
    await("the first 50", () -> seen.size() == 50);
    two.start().block();
    admin("split", "{\"database\":\"shop\",\"container\":\"orders\",\"range\":\"0\",\"completing\":1,\"migrating\":1}");
    write(orders, 50, 100);
    await("100 through a split", () -> seen.size() == 100);
    await("a lease for each host", () -> owners(leases).equals(List.of("one", "two")));
    write(orders, 100, 150);
    await("150 by two hosts", () -> seen.size() == 150);
    Set<String> hosts = new TreeSet<>();
    for (int i = 100; i < 150; i++) hosts.addAll(seen.get("" + i));
    check("who read the last", hosts, Set.of("one", "two"));
    one.stop().block();
    two.stop().block();
    client.close();
    System.out.println("passed " + checks);
    System.exit(0); // its threads linger
  }
}
