package org.capegroep.licensemanager;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import leaver.Application;
import openlicenser.client.Config;
import openlicenser.client.FakeService;
import openlicenser.client.Store;
import openlicenser.client.TestTokens;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a product sees that comes from the client of the original. */
class LicenseManagerTest {
    private static final String KEY = TestTokens.licenseKey(TestTokens.LICENSE);
    private static final String URL = "https://app.example.com/index.html";

    private final FakeService service = new FakeService(Clock.systemUTC());
    private final Application app = new Application();
    private Store store = Store.memory();

    @BeforeEach
    void configure() {
        LicenseManager.configure(config().build());
    }

    @AfterEach
    void end() {
        LicenseManager.configure(null);
    }

    private Config.Builder config() {
        return Config.builder().url("https://licenses.example.com/verify-license").service("reports")
                .trusted(TestTokens.keySet()).store(store).http(service);
    }

    private void says(TestTokens token) {
        service.says((path, question) -> new FakeService.Said(200, "{\"message\":\"" + token.sign() + "\"}"));
    }

    private static String no(String message) {
        return "no report: " + message;
    }

    @Test
    void anApplicationThatIsLicensed() throws MalformedURLException {
        assertEquals(no("NOT_INITIALIZED"), app.report());
        app.start(URL, KEY);
        assertTrue(app.report().startsWith("report for Example Ltd with [reports] at [https://app.example.com,"),
                app::report);
        assertTrue(app.check(URL, app.token()).getResult());
        app.start("http://localhost:8080/", KEY);
        assertTrue(app.report().endsWith(", LOCAL_URL"), app::report);
        assertSame(LicenseManager.getInstance(), LicenseManager.getInstance());
    }

    @Test
    void anApplicationWithoutLicenseKeyOrUrl() throws MalformedURLException {
        app.start(URL, KEY);
        for (String[] missing : new String[][] {{URL, ""}, {URL, null}, {null, KEY}}) {
            app.start(missing[0], missing[1]);
            assertEquals(no("LICENSE_NOT_FOUND"), app.report());
            assertNull(app.token());
            assertNull(LicenseManager.getInstance().getLicense());
        }
        app.start(URL, KEY);
        assertNotNull(app.token());
    }

    @Test
    void whatTheLicenseDoesNotCover() throws MalformedURLException {
        app.start("https://other.example.com", KEY);
        assertEquals(no("INVALID_APPURL"), app.report());
        assertNull(app.token());
        says(TestTokens.of(Instant.now()).with("services", "[]"));
        app.start(URL, KEY);
        assertEquals(no("INVALID_SERVICE_ID"), app.report());
        assertNull(app.token());
    }

    @Test
    void refusalsAndMistakesHaveTheCodeOfTheService() throws MalformedURLException {
        for (String code : List.of("LICENSE_REVOKED", "LICENSE_EXPIRED", "INVALID_LICENSE", "FINGERPRINT_REQUIRED")) {
            LicenseManager.configure(config().store(Store.memory()).build());
            service.says(FakeService.refuses(code));
            app.start(URL, KEY);
            assertEquals(no(code), app.report());
            assertNull(app.token());
        }
    }

    @Test
    void noConnection() throws MalformedURLException {
        service.says(FakeService.UNREACHABLE);
        app.start(URL, KEY);
        assertEquals(no("CONNECTION_WITH_LICENSE_SERVER_FAILED"), app.report());
        service.says((path, question) -> new FakeService.Said(503, "{\"error\":\"INTERNAL_LICENSE_SERVER_ERROR\"}"));
        app.start(URL, KEY);
        assertEquals(no("CONNECTION_WITH_LICENSE_SERVER_FAILED"), app.report());
        service.says((path, question) -> new FakeService.Said(200, "{\"message\":\"no token\"}"));
        app.start(URL, KEY);
        assertEquals(no("LOGTRANSPORTER_INTERNAL_ERROR"), app.report());
    }

    @Test
    void aTokenIsKeptAcrossRestartsAndFaults() throws MalformedURLException {
        app.start(URL, KEY);
        String token = app.token();
        service.says((path, question) -> new FakeService.Said(500, ""));
        app.start(URL, KEY);
        assertEquals(token, app.token());
        service.says(FakeService.UNREACHABLE);
        int times = service.times();
        LicenseManager.configure(config().build()); // as a restart does
        app.start(URL, KEY);
        assertEquals(token, app.token());
        assertEquals(times, service.times());
    }

    @Test
    void theSameKeyForgetsNoRefusal() throws MalformedURLException {
        LicenseManager.configure(config().store(new Store() {
            @Override
            public Optional<byte[]> load(String name) {
                return Optional.empty();
            }

            @Override
            public void save(String name, byte[] document) throws IOException {
                throw new IOException("full");
            }
        }).build());
        app.start(URL, KEY);
        service.says(FakeService.refuses("LICENSE_REVOKED"));
        app.start(URL, KEY);
        service.says(FakeService.UNREACHABLE);
        app.start(URL, KEY);
        assertEquals(no("LICENSE_REVOKED"), app.report());
    }

    @Test
    void aLicenseThatHasEndedOffline() throws MalformedURLException {
        LicenseManager.configure(config().offline(Duration.ofNanos(1)).build());
        Instant yesterday = Instant.now().minus(Duration.ofDays(1));
        says(TestTokens.of(Instant.now()).with("expirationdate", yesterday.getEpochSecond()));
        app.start(URL, KEY);
        assertEquals(no("LICENSE_EXPIRED"), app.report());
    }

    @Test
    void theResourceIsFoundWhateverTheThreadSees() {
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        LicenseManager.configure(null);
        try {
            thread.setContextClassLoader(new ClassLoader(null) { });
            assertEquals("of-the-resource", LicenseManager.config().service());
            System.setProperty("openlicenser.trusted", "none.json");
            LicenseManager.configure(null);
            String problem = assertThrows(IllegalArgumentException.class, () -> app.start(URL, KEY)).getMessage();
            assertTrue(problem.contains("none.json"), problem);
            System.clearProperty("openlicenser.trusted");
            assertTrue(LicenseManager.config().trusted().length > 100); // nothing was kept
        } finally {
            System.clearProperty("openlicenser.trusted");
            thread.setContextClassLoader(before);
        }
    }

    @Test
    void daysOfGrace() throws MalformedURLException {
        Instant yesterday = Instant.now().minus(Duration.ofDays(1));
        TestTokens inGrace = TestTokens.of(Instant.now()).with("expirationdate", yesterday.getEpochSecond());
        says(inGrace);
        app.start(URL, KEY);
        assertTrue(app.report().startsWith("report for"), app::report);
        assertTrue(app.check(URL, app.token()).getResult());
        License license = LicenseManager.getInstance().getLicense();
        assertEquals(yesterday.getEpochSecond() * 1000, license.getLicenseExpirationDate().getTime());
        License over = new License(openlicenser.client.License.read(inGrace.sign(), TestTokens.keySet()),
                inGrace.until(yesterday).sign());
        assertEquals("LICENSE_EXPIRED", CAPELicenseVerifier.verifyLicense(new URL(URL), over).getMessage());
    }

    @Test
    void tokensThatComeFromElsewhere() {
        String token = TestTokens.of(Instant.now()).with("licenseid", "of another computer").sign();
        assertEquals("", app.check(URL, token).getMessage());
        assertEquals("INVALID_APPURL", app.check("https://x.example", token).getMessage());
        assertEquals("INVALID_SERVICE_ID",
                app.check(URL, TestTokens.of(Instant.now()).with("services", "[]").sign()).getMessage());
        assertEquals("no token", app.check(URL, TestTokens.of(Instant.now()).until(Instant.now()).sign()).getMessage());
        assertEquals("no token", app.check(URL, "x.y.z").getMessage());
        LicenseManager.configure(config().trusted("").trustOnFirstUse(true).build());
        assertEquals("there are no trusted keys", app.check(URL, token).getMessage());
    }

    @Test
    void aFarEndOverflowsNothing() throws MalformedURLException {
        says(TestTokens.of(Instant.now()).with("expirationdate", Long.MAX_VALUE));
        app.start(URL, KEY);
        assertTrue(LicenseManager.getInstance().getLicense().getLicenseExpirationDate().getTime() > 1L << 60);
    }

    @Test
    void theResourceAndSystemProperties(@TempDir Path folder) throws IOException {
        LicenseManager.configure(null);
        System.setProperty("openlicenser.folder", folder.resolve("license").toString());
        System.setProperty("openlicenser.url", "http://127.0.0.1:1");
        try {
            app.start(URL, KEY);
            assertEquals(no("CONNECTION_WITH_LICENSE_SERVER_FAILED"), app.report());
            assertEquals("of-the-resource", LicenseManager.config().service());
            assertTrue(LicenseManager.config().trusted().length > 100);
            LicenseManager.configure(null);
            assertTrue(Files.exists(folder.resolve("license").resolve("clock.state")));
            System.setProperty("openlicenser.url", "none");
            String problems = assertThrows(IllegalArgumentException.class, () -> app.start(URL, KEY)).getMessage();
            assertTrue(problems.contains("url"), problems);
        } finally {
            System.clearProperty("openlicenser.folder");
            System.clearProperty("openlicenser.url");
        }
    }
}
