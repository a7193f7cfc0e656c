package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Keys that are fetched, and which of them count. */
class FirstUseTest {
    private static final String OTHER_KEYS =
            new String(Members.read("tokens.json").json("keys"), StandardCharsets.UTF_8);
    private static final String KEY = TestTokens.licenseKey(TestTokens.LICENSE);

    private final TestClock clock = new TestClock();
    private final FakeService service = new FakeService(clock);

    private Config.Builder config(Store store) {
        return Config.builder().url("https://licenses.example.com").key(KEY).trustOnFirstUse(true).store(store)
                .http(service);
    }

    private LicenseClient open(Config.Builder config) {
        return LicenseClient.openWithoutThread(config.build(), clock);
    }

    private static void assertStatus(Status want, State state) {
        assertEquals(want, state.status(), state::toString);
    }

    @Test
    void keysThatWereFetchedCountOnFirstUseOnly() {
        service.says((path, question) -> path.endsWith("jwks.json") ? new FakeService.Said(200, TestTokens.keySet())
                : service.grants().to(path, question));
        Store store = Store.memory();
        LicenseClient client = open(config(store));
        assertStatus(Status.ACTIVE, client.state());
        client.close();
        // Whoever can write the store can add a key to it.
        client = open(config(store).trustOnFirstUse(false).trusted(OTHER_KEYS));
        assertStatus(Status.UNKNOWN, client.state());
        client.close();
    }

    @Test
    void keysStayWhereTheLicenseKeyChanges() {
        service.says((path, question) -> {
            boolean isFirst = KEY.equals(question.get("licensekey"));
            String token = TestTokens.of(clock.instant()).with("licenseid", isFirst ? TestTokens.LICENSE : "b").sign();
            return new FakeService.Said(200, path.endsWith("jwks.json") ? TestTokens.keySet()
                    : "{\"message\":\"" + token + "\"}");
        });
        LicenseClient client = open(config(Store.memory()));
        assertStatus(Status.ACTIVE, client.setKey(TestTokens.licenseKey("b")));
        assertEquals(List.of("/verify-license", "/.well-known/jwks.json", "/verify-license"), service.paths);
        client.close();
    }

    @Test
    void keysAreFetchedOnFirstUseAndOnceAMinute() {
        service.says((path, question) -> path.endsWith("jwks.json") ? new FakeService.Said(503, "")
                : service.grants().to(path, question));
        LicenseClient client = open(config(Store.memory()));
        assertStatus(Status.UNKNOWN, client.state());
        assertTrue(client.state().error().orElseThrow().getMessage().contains("the public keys"));
        client.refresh();
        service.says((path, question) -> path.endsWith("jwks.json") ? new FakeService.Said(200, TestTokens.keySet())
                : service.grants().to(path, question));
        client.refresh();
        assertEquals(1, service.paths.stream().filter(p -> p.equals("/.well-known/jwks.json")).count());
        clock.move(Duration.ofMinutes(1));
        assertStatus(Status.ACTIVE, client.refresh());
        assertEquals(2, service.paths.stream().filter(p -> p.equals("/.well-known/jwks.json")).count());
        client.close();
    }
}
