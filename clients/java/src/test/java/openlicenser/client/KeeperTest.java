package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What a process keeps, adopts from others, and stores again. */
class KeeperTest {
    private static final String KEY = TestTokens.licenseKey(TestTokens.LICENSE);

    private final TestClock clock = new TestClock();
    private final FakeService service = new FakeService(clock);
    private final Flaky store = new Flaky();

    /** Flaky is a store that can be full. */
    private static final class Flaky implements Store {
        private final Store inside = Store.memory();
        private boolean isFull;

        @Override
        public Optional<byte[]> load(String name) throws IOException {
            return inside.load(name);
        }

        @Override
        public void save(String name, byte[] document) throws IOException {
            if (isFull) {
                throw new IOException("the disk is full");
            }
            inside.save(name, document);
        }
    }

    private Config config() {
        return Config.builder().url("https://licenses.example.com").key(KEY).trusted(TestTokens.keySet())
                .fingerprint("this computer").store(store).http(service).build();
    }

    private LicenseClient open() {
        return LicenseClient.openWithoutThread(config(), clock);
    }

    private Stored stored() throws Exception {
        return Stored.read(store.load("license").orElseThrow());
    }

    @Test
    void theSameKeyForgetsNothing() {
        LicenseClient client = open();
        store.isFull = true;
        clock.move(Duration.ofMinutes(1));
        service.says(FakeService.refuses(Code.LICENSE_REVOKED));
        client.refresh();
        service.says(FakeService.UNREACHABLE);
        int times = service.times();
        State state = client.setKey(" " + KEY + "\n");
        assertEquals(Status.REFUSED, state.status());
        assertEquals(times + 1, service.times());
        client.close();
    }

    @Test
    void whatASaveHasLostIsStoredAtTheNextLook() throws Exception {
        LicenseClient client = open();
        byte[] granted = store.load("license").orElseThrow();
        store.isFull = true;
        clock.move(Duration.ofMinutes(1));
        service.says(FakeService.refuses(Code.LICENSE_REVOKED));
        client.refresh();
        assertEquals("", stored().refused);
        store.isFull = false;
        client.tick();
        assertEquals(Code.LICENSE_REVOKED, stored().refused);
        store.save("license", granted); // another process was late
        client.tick();
        assertEquals(Code.LICENSE_REVOKED, stored().refused);
        client.close();
    }

    @Test
    void aRecordOfAnotherKeyIsLeft() throws Exception {
        LicenseClient client = open();
        byte[] other = Stored.refused(Stored.nothing("other", Times.ZERO, List.of()), clock.instant(),
                clock.instant(), "X").write();
        store.save("license", other);
        client.tick();
        assertEquals("other", stored().key);
        client.close();
    }

    @Test
    void aRecordThatIsOfNoUseIsNeitherAdoptedNorReplaced() throws Exception {
        LicenseClient client = open();
        clock.move(Duration.ofSeconds(20));
        String foreign = TestTokens.of(clock.instant()).with("device", "another").sign();
        Stored record = Stored.granted(Stored.nothing(Hashes.ofKey(KEY), Times.ZERO, List.of()), clock.instant(),
                clock.instant(), foreign);
        store.save("license", record.write());
        clock.move(Duration.ofSeconds(-10)); // asked before it
        String own = client.token().orElseThrow();
        int times = service.times();
        client.tick();
        assertEquals(own, client.token().orElseThrow());
        assertEquals(times, service.times());
        client.refresh();
        assertEquals(foreign, stored().token);
        assertEquals(Status.ACTIVE, client.state().status());
        client.close();
    }

    @Test
    void aDateCountsWhereTheTokenIsGood() {
        for (String wrong : List.of("Sun, 03 Jan 2021 11:00:00 GMT", "Sun, 03 Jan 2038 11:00:00 GMT")) {
            service.header("Date", wrong);
            LicenseClient client = LicenseClient.openWithoutThread(
                    config().toBuilder().store(Store.memory()).build(), clock);
            assertEquals(Status.ACTIVE, client.state().status(), wrong);
            clock.move(Duration.ofDays(2));
            client.state();
            clock.move(Duration.ofDays(-2));
            assertEquals(Status.CLOCK_BACK, client.state().status());
            client.refresh(); // its date is none of the service's
            assertEquals(Status.CLOCK_BACK, client.state().status(), wrong);
            client.close();
        }
    }

    @Test
    void theClockMarkIsSavedAtClose() throws IOException {
        LicenseClient client = open();
        clock.move(Duration.ofMinutes(30));
        client.state();
        client.close();
        assertEquals(clock.instant(), Stored.readMark(store.load("clock").orElseThrow()));
    }

    @Test
    void nothingIsSavedForAKeyThatIsNoMore() throws IOException {
        Rules rules = CheckedConfig.of(config()).rules;
        Keeper keeper = new Keeper(rules, store, new Log(new TestLog(new ArrayList<>())), clock, () -> 0.5);
        keeper.save(rules.withKey("another"));
        assertFalse(store.load("license").isPresent());
        keeper.save(rules);
        assertTrue(store.load("license").isPresent());
    }
}
