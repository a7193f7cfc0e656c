package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.http.HttpClient;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a product sees over days and years, with a clock that the test moves. */
class ClientTest {
    private static final Duration DAY = Duration.ofDays(1);
    private static final String KEY = TestTokens.licenseKey(TestTokens.LICENSE);

    private final TestClock clock = new TestClock();
    private final FakeService service = new FakeService(clock);

    private Config.Builder config(Store store) {
        return Config.builder().url("https://licenses.example.com").key(KEY).trusted(TestTokens.keySet())
                .service("reports").store(store).http(service);
    }

    private LicenseClient open(Config.Builder config) {
        return LicenseClient.openWithoutThread(config.build(), clock);
    }

    private static void assertStatus(Status want, State state) {
        assertEquals(want, state.status(), state::toString);
    }

    @Test
    void aYearAsksOnceADayGoesOnWithoutNetworkAndStopsAtANo() {
        Store store = Store.memory();
        LicenseClient client = open(config(store));
        assertStatus(Status.ACTIVE, client.state());
        assertEquals("Example Ltd", client.state().license().customerName());
        clock.sleep(DAY.multipliedBy(30), client);
        assertTrue(service.times() >= 27 && service.times() <= 34, () -> "asked " + service.times() + " times");

        service.says(FakeService.UNREACHABLE);
        clock.sleep(DAY.multipliedBy(60), client);
        assertStatus(Status.OFFLINE, client.state());
        client.check();
        clock.sleep(DAY.multipliedBy(31), client);
        assertStatus(Status.OFFLINE_TOO_LONG, client.state());
        assertThrows(OfflineException.class, client::check);
        assertEquals(Optional.empty(), client.token());

        service.says(service.grants());
        clock.sleep(Pauses.LONGEST, client);
        assertStatus(Status.ACTIVE, client.state());
        service.says(FakeService.refuses(Code.LICENSE_REVOKED));
        clock.sleep(Duration.ofHours(27), client);
        assertEquals(Code.LICENSE_REVOKED, assertThrows(Refusal.class, client::check).code());
        client.close();

        service.says(FakeService.UNREACHABLE);
        client = open(config(store));
        assertStatus(Status.REFUSED, client.state());
        service.says(service.grants());
        clock.sleep(Duration.ofHours(2), client);
        assertStatus(Status.ACTIVE, client.state());
        client.close();
    }

    @Test
    void pausesGrowAndAreNeverBelowTwoSeconds() {
        service.says(FakeService.UNREACHABLE);
        LicenseClient client = open(config(Store.memory()));
        clock.sleep(DAY.multipliedBy(2), client);
        client.close();
        for (int i = 1; i < service.asked.size(); i++) {
            Duration pause = Duration.between(service.asked.get(i - 1), service.asked.get(i));
            Duration longest = Pauses.shorter(Pauses.LONGEST, Pauses.SHORTEST.multipliedBy(1L << Math.min(i, 14)));
            assertTrue(pause.compareTo(Pauses.SHORTEST) >= 0, "pause " + i + ": " + pause);
            assertTrue(pause.compareTo(longest) <= 0, "pause " + i + ": " + pause);
        }
        assertTrue(service.times() >= 20 && service.times() <= 80, () -> "asked " + service.times() + " times");
    }

    @Test
    void aStoredTokenIsActiveAtOnceWithoutNetwork() {
        Store store = Store.memory();
        open(config(store)).close();
        service.says(FakeService.UNREACHABLE);
        int times = service.times();
        LicenseClient client = open(config(store));
        assertStatus(Status.ACTIVE, client.state());
        assertEquals(times, service.times());
        assertStatus(Status.OFFLINE, client.refresh());
        client.check();
        client.close();
    }

    @Test
    void noNetworkAndNothingStored() {
        service.says(FakeService.UNREACHABLE);
        LicenseClient client = open(config(Store.memory()));
        LicenseException e = assertThrows(UnlicensedException.class, client::check);
        assertTrue(e.getMessage().contains("no network"), e::getMessage);
        assertEquals(License.NONE, client.state().license());
        assertFalse(client.state().license().allows("reports"));
        client.close();
    }

    @Test
    void allThatIsWrongWithTheConfigurationIsSaidAtOnce() {
        service.follows(HttpClient.Redirect.NORMAL);
        Config.Builder wrong = Config.builder().url("licenses").fingerprint("short").deviceName("x".repeat(33))
                .skew(Duration.ofSeconds(-1)).http(service);
        String message = assertThrows(IllegalArgumentException.class, () -> open(wrong)).getMessage();
        List<String> all = List.of("url", "trustOnFirstUse", "store", "fingerprint", "deviceName", "skew", "redirects");
        for (String want : all) {
            assertTrue(message.contains(want), () -> message + " does not name " + want);
        }
        service.follows(HttpClient.Redirect.NEVER);
        Config.Builder noKey = config(Store.memory()).trusted("no key");
        String trusted = assertThrows(IllegalArgumentException.class, () -> open(noKey)).getMessage();
        assertTrue(trusted.contains("trusted"), trusted);
        assertEquals(0, service.times());
    }

    @Test
    void aStoreThatFails() {
        List<String> log = new ArrayList<>();
        Store broken = new Store() {
            @Override
            public Optional<byte[]> load(String name) throws IOException {
                throw new IOException("the disk is broken");
            }

            @Override
            public void save(String name, byte[] document) {
                throw new IllegalStateException("the disk is full");
            }
        };
        LicenseClient client = open(config(broken).log(new TestLog(log)));
        assertStatus(Status.ACTIVE, client.state());
        clock.sleep(DAY.multipliedBy(2), client);
        assertStatus(Status.ACTIVE, client.state());
        client.close();
        assertTrue(log.stream().anyMatch(l -> l.contains("the disk is broken")), log::toString);
        assertTrue(log.stream().anyMatch(l -> l.contains("the clock mark") && l.contains("full")), log::toString);
    }

    @Test
    void noSecretIsInTheLogOrInAnException() {
        List<String> log = new ArrayList<>();
        Store store = Store.memory();
        LicenseClient client = open(config(store).log(new TestLog(log)));
        String token = client.token().orElseThrow();
        String forged = token.substring(0, token.length() - 8) + "AAAAAAAA";
        List<String> bodies = List.of("{\"message\":\"" + forged + "\"}", "{\"message\":\"" + token, "no " + token, "");
        for (String body : bodies) {
            for (int status : new int[] {200, 400, 500}) {
                service.says((path, question) -> new FakeService.Said(status, body));
                log.add(client.refresh().error().orElseThrow().toString());
            }
        }
        client.close();
        for (String line : log) {
            assertFalse(line.contains(KEY) || line.contains(token.substring(0, 60)) || line.contains(forged), line);
        }
        assertTrue(log.size() >= 24, log::toString);
    }

    @Test
    void noKeyAsksNobodyAndAnotherKeyStartsAnew() {
        LicenseClient client = open(config(Store.memory()).key(""));
        clock.sleep(DAY.multipliedBy(2), client);
        assertStatus(Status.UNKNOWN, client.state());
        assertEquals(0, service.times());
        assertStatus(Status.ACTIVE, client.setKey(" " + KEY.substring(0, 30) + "\n" + KEY.substring(30)));
        service.says(FakeService.UNREACHABLE);
        assertStatus(Status.UNKNOWN, client.setKey(TestTokens.licenseKey("another")));
        assertStatus(Status.OFFLINE, client.setKey(KEY)); // nothing was answered meanwhile
        assertStatus(Status.UNKNOWN, client.setKey(null));
        client.close();
    }

    @Test
    void listenersHaveTheLatestState() {
        LicenseClient client = open(config(Store.memory()));
        List<Status> told = new ArrayList<>();
        client.onChange(state -> {
            throw new IllegalStateException("a listener that fails holds up nobody");
        });
        Runnable stop = client.onChange(state -> told.add(state.status()));
        client.background().tell();
        service.says(FakeService.UNREACHABLE);
        clock.sleep(DAY.multipliedBy(40), client);
        clock.sleep(DAY.multipliedBy(51), client);
        assertEquals(List.of(Status.ACTIVE, Status.OFFLINE, Status.OFFLINE_TOO_LONG),
                told.stream().distinct().collect(java.util.stream.Collectors.toList())); // the last by time alone
        told.clear();
        service.says(service.grants());
        client.refresh();
        service.says(FakeService.refuses(Code.LICENSE_SUSPENDED));
        client.refresh();
        client.background().tell();
        assertEquals(List.of(Status.REFUSED), told); // the state before was not told
        stop.run();
        service.says(service.grants());
        client.refresh();
        client.background().tell();
        assertEquals(1, told.size());
        client.close();
    }

    @Test
    void twoProcessesAskOnceADayTogether(@TempDir Path folder) {
        LicenseClient a = open(config(Store.dir(folder)));
        LicenseClient b = open(config(Store.dir(folder)));
        clock.sleep(DAY.multipliedBy(20), a, b);
        assertTrue(service.times() <= 30, () -> "asked " + service.times() + " times in 20 days");
        service.says(FakeService.refuses(Code.LICENSE_REVOKED));
        a.refresh();
        service.says(FakeService.UNREACHABLE);
        clock.sleep(Background.LOOK_AROUND.plusSeconds(1), a, b);
        assertStatus(Status.REFUSED, a.state());
        assertStatus(Status.REFUSED, b.state());
        a.close();
        b.close();
        LicenseClient again = open(config(Store.dir(folder)));
        assertStatus(Status.REFUSED, again.state());
        again.close();
    }

    @Test
    void aRedirectGetsNoLicenseKey() {
        service.header("Location", "https://portal.example/verify-license");
        service.says((path, question) -> new FakeService.Said(307, ""));
        LicenseClient client = open(config(Store.memory()));
        assertStatus(Status.UNKNOWN, client.state());
        assertEquals(List.of("/verify-license"), service.paths);
        client.close();
    }

    @Test
    void retryAfterCountsWhateverTheStateIs() {
        LicenseClient client = open(config(Store.memory()));
        service.header("Retry-After", "7200");
        service.says((path, question) -> new FakeService.Said(429, "{\"error\":\"TOO_MANY_REQUESTS\"}"));
        assertStatus(Status.OFFLINE, client.refresh());
        Instant retryAt = client.state().retryAt().orElseThrow();
        assertFalse(retryAt.isBefore(clock.instant().plusSeconds(7200)), retryAt::toString);
        int times = service.times();
        clock.sleep(Duration.ofSeconds(7199), client);
        assertEquals(times, service.times());
        client.close();
    }

    @Test
    void aClockThatIsSetBackEndsTheProductUntilTheServiceAnswers() {
        Store store = Store.memory();
        LicenseClient client = open(config(store));
        service.says(FakeService.UNREACHABLE);
        clock.sleep(DAY.multipliedBy(3), client); // the token is from before, so that the mark alone says it
        client.close();
        clock.move(Duration.ofHours(-25));
        client = open(config(store));
        assertStatus(Status.CLOCK_BACK, client.state());
        assertThrows(ClockException.class, client::check);
        service.header("Date", "Sun, 03 Jan 2027 11:00:00 GMT");
        service.says(service.grants());
        assertStatus(Status.ACTIVE, client.refresh());
        client.close();
    }
}
