// What the service's Java client, in gateway mode, has to get from the emulator: its change-feed processor, with two hosts,
// reads through a split. Its leases are documents in a container of their own, taken by etag and found by query.

import com.azure.cosmos.ChangeFeedProcessor;
import com.azure.cosmos.ChangeFeedProcessorBuilder;
import com.azure.cosmos.CosmosAsyncClient;
import com.azure.cosmos.CosmosAsyncContainer;
import com.azure.cosmos.CosmosClientBuilder;
import com.azure.cosmos.GatewayConnectionConfig;
import com.azure.cosmos.models.ChangeFeedProcessorOptions;
import com.azure.cosmos.models.CosmosQueryRequestOptions;
import com.azure.cosmos.models.PartitionKey;
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
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;

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

  public static void main(String[] args) throws Exception {
    trust(System.getenv("COSMOS_CA"));
    CosmosAsyncClient client = new CosmosClientBuilder().endpoint(ENDPOINT).key(KEY)
        .gatewayMode(new GatewayConnectionConfig()).contentResponseOnWriteEnabled(true).buildAsyncClient();
    client.createDatabase("shop").block();
    var database = client.getDatabase("shop");
    database.createContainer("orders", "/pk").block();
    database.createContainer("leases", "/id").block();
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
