package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What goes over the network, to a server on the loopback interface. */
@Timeout(60)
class HttpTest {
    private final List<String> asked = new CopyOnWriteArrayList<>();
    private final CountDownLatch ended = new CountDownLatch(1);
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private HttpServer server;
    private volatile HttpHandler handler = HttpTest::grant;

    @BeforeEach
    void start() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(threads);
        server.createContext("/", exchange -> {
            asked.add(exchange.getRequestMethod() + " " + exchange.getRequestURI());
            try {
                handler.handle(exchange);
            } finally {
                exchange.close();
            }
        });
        server.start();
    }

    @AfterEach
    void stop() {
        ended.countDown();
        server.stop(0);
        threads.shutdownNow();
    }

    private Config.Builder config() {
        return Config.builder().url("http://127.0.0.1:" + server.getAddress().getPort() + "/base/")
                .key(TestTokens.licenseKey(TestTokens.LICENSE)).trusted(TestTokens.keySet()).store(Store.memory());
    }

    private LicenseClient open(Duration timeout) {
        return LicenseClient.open(config().build(), Clock.systemUTC(), timeout);
    }

    private static void grant(HttpExchange exchange) throws IOException {
        respond(exchange, 200, "{\"message\":\"" + TestTokens.of(Instant.now()).sign() + "\"}");
    }

    private static void respond(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
    }

    @Test
    void theRequestIsTheOneOfAllClients() throws Exception {
        AtomicLong length = new AtomicLong();
        CopyOnWriteArrayList<Map<String, Object>> questions = new CopyOnWriteArrayList<>();
        CopyOnWriteArrayList<String> headers = new CopyOnWriteArrayList<>();
        handler = exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            length.set(body.length);
            headers.addAll(exchange.getRequestHeaders().get("Content-type"));
            headers.addAll(exchange.getRequestHeaders().get("Accept"));
            headers.addAll(exchange.getRequestHeaders().get("User-agent"));
            try {
                questions.add(Json.readObject(body));
            } catch (Json.MalformedException e) {
                throw new IOException(e);
            }
            grant(exchange);
        };
        Config config = config().fingerprint("this computer").deviceName("Müller's \"PC\"").build();
        try (LicenseClient client = LicenseClient.open(config)) {
            assertEquals(Status.ACTIVE, client.state().status(), client.state()::toString);
        }
        assertEquals(List.of("POST /base/verify-license"), asked);
        assertEquals(List.of("application/json", "application/json", "open-licenser-java/1.0.0"), headers);
        assertEquals(Map.of("licensekey", TestTokens.licenseKey(TestTokens.LICENSE), "fingerprint", "this computer",
                "devicename", "Müller's \"PC\""), questions.get(0));
        assertTrue(length.get() > 100);
    }

    @Test
    void theUrlOfTheFunctionIsTakenToo() {
        for (String url : List.of("https://x.example", "https://x.example/", "https://x.example/verify-license")) {
            assertEquals("https://x.example", LicenseService.base(url).toString());
        }
        assertEquals("https://x.example/a?code=1", LicenseService.base("https://x.example/a/?code=1").toString());
    }

    @Test
    void aRedirectIsNotFollowed() {
        handler = exchange -> {
            exchange.getResponseHeaders().set("Location", "/elsewhere");
            respond(exchange, 307, "");
        };
        try (LicenseClient client = open(LicenseService.TIMEOUT)) {
            assertEquals(Status.UNKNOWN, client.state().status());
            assertEquals(List.of("POST /base/verify-license"), asked);
        }
    }

    @Test
    void aBodyWithoutEndIsReadToAMegabyte() throws Exception {
        AtomicLong written = new AtomicLong();
        CountDownLatch failed = new CountDownLatch(1);
        handler = exchange -> {
            exchange.sendResponseHeaders(200, 0); // in chunks
            OutputStream out = exchange.getResponseBody();
            try {
                for (byte[] chunk = new byte[1 << 16]; written.get() < 1L << 30; written.addAndGet(chunk.length)) {
                    out.write(chunk);
                }
            } catch (IOException e) {
                failed.countDown();
            }
        };
        try (LicenseClient client = open(Duration.ofSeconds(15))) {
            assertEquals(Status.UNKNOWN, client.state().status());
            String error = client.state().error().orElseThrow().getMessage();
            assertTrue(error.contains("more than 1048576 bytes"), error);
            assertTrue(failed.await(10, TimeUnit.SECONDS));
            assertTrue(written.get() < 1L << 26, () -> written + " bytes were read");
        }
    }

    @Test
    void theWholeExchangeIsTimed() {
        for (boolean trickles : new boolean[] {false, true}) {
            handler = exchange -> {
                exchange.getRequestBody().readAllBytes();
                if (trickles) {
                    exchange.sendResponseHeaders(200, 0);
                }
                for (int i = 0; i < 200 && !isEnded(100); i++) {
                    if (trickles) {
                        exchange.getResponseBody().write(' ');
                        exchange.getResponseBody().flush();
                    }
                }
            };
            assertTimeoutPreemptively(Duration.ofSeconds(15), () -> {
                try (LicenseClient client = open(Duration.ofSeconds(1))) {
                    Throwable error = client.state().error().orElseThrow();
                    boolean isSaid = error instanceof HttpTimeoutException;
                    assertTrue(isSaid || error.getCause() instanceof HttpTimeoutException, error::toString);
                }
            });
        }
    }

    private boolean isEnded(int millis) {
        try {
            return ended.await(millis, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            return true;
        }
    }

    @Test
    void closeEndsWhatIsAsked() throws Exception {
        LicenseClient client = open(Duration.ofSeconds(50));
        CountDownLatch isAsked = new CountDownLatch(1);
        handler = exchange -> {
            isAsked.countDown();
            isEnded(50_000);
        };
        Thread asker = new Thread(client::refresh);
        asker.start();
        assertTrue(isAsked.await(10, TimeUnit.SECONDS));
        assertTimeoutPreemptively(Duration.ofSeconds(10), client::close);
        asker.join();
        assertEquals(Status.ACTIVE, client.state().status()); // nothing was answered
    }

    @Test
    void anInterruptEndsARequest() throws Exception {
        try (LicenseClient client = open(Duration.ofSeconds(50))) {
            CountDownLatch isAsked = new CountDownLatch(1);
            handler = exchange -> {
                isAsked.countDown();
                isEnded(50_000);
            };
            CountDownLatch stayedInterrupted = new CountDownLatch(1);
            Thread asker = new Thread(() -> {
                client.refresh();
                if (Thread.currentThread().isInterrupted()) {
                    stayedInterrupted.countDown();
                }
            });
            asker.start();
            assertTrue(isAsked.await(10, TimeUnit.SECONDS));
            asker.interrupt();
            assertTrue(stayedInterrupted.await(10, TimeUnit.SECONDS));
            assertEquals(Status.OFFLINE, client.state().status());
            assertTrue(client.state().error().orElseThrow() instanceof InterruptedIOException);
        }
    }

    @Test
    void aCaptivePortalAndAClosedPortEndNothing() {
        try (LicenseClient client = open(LicenseService.TIMEOUT)) {
            handler = exchange -> respond(exchange, 200, "<!DOCTYPE html><html></html>");
            assertEquals(Status.OFFLINE, client.refresh().status());
            server.stop(0);
            State state = client.refresh();
            assertEquals(Status.OFFLINE, state.status());
            assertFalse(state.toString().contains("null"), state::toString);
            client.check();
        }
    }

    @Test
    void clientsShareTheThreadsOfTheNetwork() {
        open(LicenseService.TIMEOUT).close();
        long before = networkThreads();
        for (int i = 0; i < 60; i++) {
            open(LicenseService.TIMEOUT).close();
        }
        assertTrue(networkThreads() <= before, () -> networkThreads() + " threads, and " + before + " before");
    }

    @Test
    void aUrlThatCannotBeAskedIsSaidWithoutItsPassword() {
        for (String url : List.of("https://user:secret@x.example", "https://secret@x.example", "https://a b/secret",
                "https://my_host.example/secret", "https://x.example:99999/secret")) {
            String problem = assertThrows(IllegalArgumentException.class,
                    () -> LicenseClient.open(config().url(url).build())).getMessage();
            assertTrue(problem.contains("url ") && !problem.contains("secret"), problem);
        }
    }

    private static long networkThreads() {
        return Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().endsWith("SelectorManager"))
                .count();
    }
}
