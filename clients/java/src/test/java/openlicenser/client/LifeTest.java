package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Products live with the local server. */
@Timeout(600)
class LifeTest {
    private static final String ORDER = "{\"customername\":\"Example Ltd\",\"expirationdate\":\"2099-01-31\","
            + "\"services\":[{\"serviceName\":\"Reports\",\"serviceValue\":\"reports\"}],"
            + "\"appurls\":[{\"URL\":\"https://app.example.com\"}]%s}";
    private static final String REASON = "{\"reason\":\"a test\"}";

    @TempDir
    private static Path programs;
    private static Path licenser;

    @TempDir
    private Path temp;
    private LocalServer server;

    @BeforeAll
    static void build() throws Exception {
        licenser = LocalServer.build(Path.of("..", ".."), "./cmd/licenser", programs.resolve("licenser"));
    }

    @BeforeEach
    void serve() throws Exception {
        server = new LocalServer(licenser, Files.createDirectory(temp.resolve("server")));
    }

    @AfterEach
    void stop() {
        server.close();
    }

    /** Product is one that a customer has installed. */
    private static final class Product {
        private Config config;
        private Clock clock = Clock.systemUTC();
        private LicenseClient client;

        Product(Config.Builder config) {
            this.config = config.build();
        }

        State start() {
            client = LicenseClient.open(config, clock, LicenseService.TIMEOUT);
            return client.state();
        }

        State restart() {
            client.close();
            return start();
        }
    }

    private static void assertState(Status status, String reason, State state) {
        assertEquals(status, state.status(), state::toString);
        assertEquals(reason, state.reason(), state::toString);
    }

    private static void assertState(Status status, State state) {
        assertState(status, "", state);
    }

    private Config.Builder config(Map<String, Object> issued, String keyForm) {
        return Config.builder().url(server.url()).key((String) issued.get(keyForm)).service("reports")
                .store(Store.dir(temp.resolve("store of " + issued.get("licenseid"))));
    }

    @Test
    void life() throws Exception {
        Map<String, Object> issued = server.call("/licenses", String.format(ORDER, ""));
        server.licenser("token-key", "prepare");
        Product p = new Product(config(issued, "shortkey").trusted(server.licenser("token-key", "export")));
        assertState(Status.ACTIVE, p.start());
        State state = p.client.refresh();
        License license = state.license();
        assertEquals(issued.get("licenseid"), license.id());
        assertEquals("Example Ltd", license.customerName());
        assertTrue(license.allows("reports") && license.allowsHost("app.example.com"));
        assertTrue(state.usableUntil().orElseThrow().isAfter(Instant.now().plus(Duration.ofDays(89))));

        server.stop();
        assertState(Status.ACTIVE, p.restart());
        assertState(Status.OFFLINE, p.client.refresh());
        p.client.check();
        server.start();
        assertState(Status.ACTIVE, p.client.refresh());

        String path = "/licenses/" + issued.get("licenseid");
        server.call(path + "/revoke", REASON);
        assertState(Status.REFUSED, Code.LICENSE_REVOKED, p.client.refresh());
        server.stop();
        assertState(Status.REFUSED, Code.LICENSE_REVOKED, p.restart());
        server.start();
        server.call(path + "/reinstate", REASON);
        assertState(Status.ACTIVE, p.restart());

        server.promote();
        assertState(Status.ACTIVE, p.client.refresh());
        server.stop();
        assertState(Status.ACTIVE, p.restart());

        p.client.close();
        p.clock = Clock.offset(Clock.systemUTC(), Duration.ofHours(-25));
        assertState(Status.CLOCK_BACK, p.start());
        assertThrows(ClockException.class, p.client::check);
        server.start();
        p.client.close();
        p.clock = Clock.systemUTC();
        assertState(Status.ACTIVE, p.start());

        Map<String, Object> other = server.call("/licenses", String.format(ORDER, ""));
        String key = (String) other.get("licensekey");
        assertState(Status.ACTIVE, p.client.setKey(" " + key.substring(0, 50) + "\r\n" + key.substring(50)));
        assertEquals(other.get("licenseid"), p.client.state().license().id());
        assertState(Status.REFUSED, Code.INVALID_LICENSE, p.client.setKey("no key"));
        p.client.close();
    }

    private Product on(String computer, Map<String, Object> issued) {
        return new Product(config(issued, "licensekey").trustOnFirstUse(true)
                .fingerprint("the machine id of " + computer).deviceName(computer)
                .store(Store.dir(temp.resolve(computer))));
    }

    @Test
    void devices() throws Exception {
        Map<String, Object> issued = server.call("/licenses",
                String.format(ORDER, ",\"maxdevices\":1,\"leaseminutes\":60"));
        Product first = on("front desk", issued);
        Product second = on("back office", issued);
        State state = first.start();
        assertState(Status.ACTIVE, state);
        assertTrue(state.retryAt().orElseThrow().isBefore(Instant.now().plus(Duration.ofMinutes(31))));
        assertFalse(state.license().device().isEmpty());
        assertState(Status.REFUSED, Code.DEVICE_LIMIT_REACHED, second.start());
        Devices devices = second.client.devices();
        assertEquals(1, devices.limit());
        assertEquals("front desk", devices.list().get(0).name());
        second.client.release(devices.list().get(0).id());
        assertState(Status.ACTIVE, second.client.refresh());
        assertState(Status.REFUSED, Code.DEVICE_LIMIT_REACHED, first.client.refresh());
        second.client.release("");
        assertState(Status.UNKNOWN, second.client.state());
        assertState(Status.ACTIVE, first.client.refresh());
        first.client.close();
        second.client.close();

        server.licenser("token-key", "prepare");
        server.promote(); // the keys are fetched anew
        Product third = on("front desk", issued);
        assertState(Status.ACTIVE, third.start());
        assertState(Status.ACTIVE, third.client.refresh());
        Path file = Files.writeString(temp.resolve("license.lic"), "no token");
        assertThrows(TokenException.class, () -> third.client.importFile(file));
        server.stop();
        Files.writeString(file, third.client.token().orElseThrow() + "\r\n");
        assertState(Status.ACTIVE, third.client.importFile(file));
        third.client.close();
    }

    /** A product in Go and one in Java on one computer share the folder and the seat. */
    @Test
    void withTheGoClient() throws Exception {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "the folder of the Go program is another one there");
        Map<String, Object> issued = server.call("/licenses", String.format(ORDER, ",\"maxdevices\":1"));
        Path trusted = Files.writeString(temp.resolve("trusted.json"), server.licenser("token-key", "export"));
        Path guard = LocalServer.build(Path.of("..", "..", "client"), "./examples/guard", programs.resolve("guard"));
        Map<String, String> home = Map.of("XDG_CONFIG_HOME", temp.toAbsolutePath().toString());
        String[] command = {guard.toString(), "--url", server.url(), "--key", (String) issued.get("shortkey"),
            "--trusted", trusted.toAbsolutePath().toString()};
        String said = LocalServer.run(temp, home, command);
        assertTrue(said.contains("The report for Example Ltd"), said);

        String fingerprint = Fingerprints.of("com.example.guard");
        Product java = new Product(config(issued, "shortkey").trusted(Files.readString(trusted))
                .fingerprint(fingerprint).store(Store.dir(temp.resolve("com.example.guard").resolve("license"))));
        server.stop();
        assertState(Status.ACTIVE, java.start()); // by what Go has stored
        server.start();
        assertTrue(java.client.devices().list().get(0).isThis());
        assertState(Status.ACTIVE, java.client.refresh());
        java.client.close();
        server.stop();
        said = LocalServer.run(temp, home, command);
        assertTrue(said.contains("Your license is good."), said); // by what Java has stored
    }

    @Test
    void theExampleRuns() throws Exception {
        Map<String, Object> issued = server.call("/licenses", String.format(ORDER, ""));
        Path trusted = Files.writeString(temp.resolve("trusted.json"), server.licenser("token-key", "export"));
        String folder = temp.resolve("guard").toAbsolutePath().toString();
        String first = example(trusted, folder, (String) issued.get("shortkey"));
        assertTrue(first.contains("The report for Example Ltd. Your license is good."), first);
        server.stop();
        assertEquals(first, example(trusted, folder));
    }

    private String example(Path trusted, String folder, String... key) throws IOException, InterruptedException {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        String[] command = {java, "-cp", System.getProperty("java.class.path"), "guard.Guard", server.url(),
            trusted.toAbsolutePath().toString(), folder, key.length > 0 ? key[0] : ""};
        return LocalServer.run(temp, Map.of(), command);
    }
}
