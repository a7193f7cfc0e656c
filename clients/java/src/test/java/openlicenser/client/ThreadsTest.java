package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What goes on at once, by the real clock. */
@Timeout(60)
class ThreadsTest {
    private static final String KEY = TestTokens.licenseKey(TestTokens.LICENSE);

    private final FakeService service = new FakeService(Clock.systemUTC());

    private Config config() {
        return Config.builder().url("https://licenses.example.com").key(KEY).trusted(TestTokens.keySet())
                .store(Store.memory()).http(service).build();
    }

    private static long threads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(t -> t.getName().equals("open-licenser") && t.isAlive()).count();
    }

    @Test
    void nothingRunsAfterCloseWhateverRanBefore() throws Exception {
        LicenseClient client = LicenseClient.open(config());
        assertEquals(1, threads());
        client.onChange(state -> { });
        AtomicReference<Throwable> failure = new AtomicReference<>();
        List<Thread> all = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            all.add(new Thread(() -> {
                for (int j = 0; j < 20; j++) {
                    client.refresh();
                    client.state();
                    client.setKey(KEY);
                }
            }));
        }
        for (int i = 0; i < 3; i++) {
            all.add(new Thread(client::close));
        }
        for (Thread thread : all) {
            thread.setUncaughtExceptionHandler((t, e) -> failure.set(e));
            thread.start();
            Thread.sleep(2);
        }
        for (Thread thread : all) {
            thread.join();
        }
        client.close();
        assertEquals(null, failure.get());
        assertEquals(0, threads());
        int asked = service.times();
        client.refresh();
        assertThrows(IllegalStateException.class, () -> client.release(""));
        assertThrows(IllegalStateException.class, client::devices);
        assertThrows(IllegalStateException.class, () -> client.importFile(Path.of("pom.xml")));
        assertEquals(asked, service.times());
        assertEquals(Status.ACTIVE, client.state().status());
    }

    @Test
    void theThreadAsksAgainByItself() throws Exception {
        BlockingQueue<State> told = new LinkedBlockingQueue<>();
        try (LicenseClient client = LicenseClient.open(config())) {
            client.onChange(told::add);
            assertEquals(Status.ACTIVE, told.poll(10, TimeUnit.SECONDS).status());
            service.says(FakeService.UNREACHABLE);
            assertEquals(Status.OFFLINE, client.refresh().status());
            assertEquals(Status.OFFLINE, told.poll(10, TimeUnit.SECONDS).status());
            service.says(service.grants());
            assertEquals(Status.ACTIVE, told.poll(20, TimeUnit.SECONDS).status()); // after two to four seconds
        }
        assertEquals(0, threads());
    }

    @Test
    void aListenerMayCloseTheClient() throws Exception {
        LicenseClient client = LicenseClient.open(config());
        CountDownLatch closed = new CountDownLatch(1);
        client.onChange(state -> {
            client.close();
            closed.countDown();
        });
        assertTrue(closed.await(10, TimeUnit.SECONDS));
        client.close();
        assertEquals(0, threads());
    }

    @Test
    void closeEndsAListenerThatWaits() throws Exception {
        LicenseClient client = LicenseClient.open(config());
        CountDownLatch waits = new CountDownLatch(1);
        client.onChange(state -> {
            waits.countDown();
            try {
                Thread.sleep(60_000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        assertTrue(waits.await(10, TimeUnit.SECONDS));
        assertTimeoutPreemptively(Duration.ofSeconds(10), client::close);
        assertEquals(0, threads());
    }

    @Test
    void anInterruptEndsTheWaitAndTheThreadStaysInterrupted() throws Exception {
        CountDownLatch asked = new CountDownLatch(1);
        CountDownLatch answers = new CountDownLatch(1);
        try (LicenseClient client = LicenseClient.open(config())) {
            service.says((path, question) -> {
                asked.countDown();
                await(answers);
                return null;
            });
            Thread holder = new Thread(client::refresh);
            holder.start();
            assertTrue(asked.await(10, TimeUnit.SECONDS));
            AtomicReference<State> got = new AtomicReference<>();
            CountDownLatch stayedInterrupted = new CountDownLatch(1);
            Thread waiter = new Thread(() -> {
                got.set(client.refresh()); // waits for its turn
                if (Thread.currentThread().isInterrupted()) {
                    stayedInterrupted.countDown();
                }
            });
            waiter.start();
            waiter.interrupt();
            assertTrue(stayedInterrupted.await(10, TimeUnit.SECONDS));
            assertEquals(Status.ACTIVE, got.get().status());
            answers.countDown();
            holder.join();
        }
    }

    @Test
    void anAnswerAboutTheKeyBeforeSettlesNothing() throws Exception {
        CountDownLatch asked = new CountDownLatch(1);
        CountDownLatch answers = new CountDownLatch(1);
        try (LicenseClient client = LicenseClient.open(config())) {
            service.says((path, question) -> {
                if (!question.get("licensekey").equals(KEY)) {
                    return null;
                }
                asked.countDown();
                await(answers);
                return new FakeService.Said(400, "{\"error\":\"LICENSE_REVOKED\"}");
            });
            Thread asker = new Thread(client::refresh);
            asker.start();
            assertTrue(asked.await(10, TimeUnit.SECONDS));
            Thread setter = new Thread(() -> client.setKey(TestTokens.licenseKey("another")));
            setter.start();
            while (client.state().status() != Status.UNKNOWN) {
                Thread.sleep(1);
            }
            answers.countDown();
            asker.join();
            setter.join();
            assertEquals(Status.UNKNOWN, client.state().status(), client.state()::toString);
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Test
    void openOfAnInterruptedThreadReturnsAtOnce() {
        Thread.currentThread().interrupt();
        LicenseClient client = LicenseClient.open(config());
        assertTrue(Thread.interrupted());
        client.close();
        assertFalse(Thread.currentThread().isInterrupted());
    }

    @Test
    void anEarlierAttemptWakesTheThread() throws Exception {
        try (LicenseClient client = LicenseClient.open(config())) {
            service.header("Retry-After", "3600");
            service.says((path, question) -> new FakeService.Said(503, ""));
            client.refresh();
            service.header("Retry-After", "0");
            client.refresh(); // the state is as before, and the next attempt is in seconds
            service.says(service.grants());
            for (int i = 0; i < 300 && client.state().status() != Status.ACTIVE; i++) {
                Thread.sleep(100);
            }
            assertEquals(Status.ACTIVE, client.state().status());
        }
    }

    @Test
    void whatThrowsAnErrorEndsNothing() throws Exception {
        System.Logger log = (System.Logger) java.lang.reflect.Proxy.newProxyInstance(getClass().getClassLoader(),
                new Class<?>[] {System.Logger.class}, (proxy, method, arguments) -> {
                    throw new NoClassDefFoundError("a logger");
                });
        Store store = new Store() {
            @Override
            public Optional<byte[]> load(String name) {
                throw new NoClassDefFoundError("a store");
            }

            @Override
            public void save(String name, byte[] document) {
                throw new AssertionError("a store");
            }
        };
        BlockingQueue<State> told = new LinkedBlockingQueue<>();
        try (LicenseClient client = LicenseClient.open(config().toBuilder().log(log).store(store).build())) {
            client.onChange(state -> {
                throw new AssertionError("a listener");
            });
            client.onChange(told::add);
            assertEquals(Status.ACTIVE, told.poll(10, TimeUnit.SECONDS).status());
            service.says(FakeService.UNREACHABLE);
            client.refresh();
            assertEquals(Status.OFFLINE, told.poll(10, TimeUnit.SECONDS).status());
        }
    }

    @Test
    void closeWaitsNotLongForAListenerThatGoesOn() throws Exception {
        CountDownLatch waits = new CountDownLatch(1);
        CountDownLatch ends = new CountDownLatch(1);
        LicenseClient client = LicenseClient.open(config());
        client.onChange(state -> {
            waits.countDown();
            while (ends.getCount() > 0) {
                Thread.onSpinWait();
            }
        });
        assertTrue(waits.await(10, TimeUnit.SECONDS));
        assertTimeoutPreemptively(Background.LISTENER_ENDS.plusSeconds(5), client::close);
        ends.countDown();
    }

    @Test
    void aListenerThatAsksDoesNotAskWithoutEnd() throws Exception {
        try (LicenseClient client = LicenseClient.open(config())) {
            client.onChange(state -> client.refresh());
            client.onChange(state -> client.refresh());
            Thread.sleep(1000);
            assertTrue(service.times() < 6, () -> "asked " + service.times() + " times");
        }
    }

    @Test
    void anExchangeThatTakesTooLongIsCancelled() {
        service.says((path, question) -> FakeService.HANGS);
        LicenseClient.open(config(), Clock.systemUTC(), Duration.ofMillis(100)).close();
        assertTrue(service.hanging.isCancelled());
    }
}
