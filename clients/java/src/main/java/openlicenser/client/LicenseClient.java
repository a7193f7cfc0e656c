package openlicenser.client;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import java.util.function.DoubleSupplier;

/**
 * LicenseClient has one license key, and keeps its state up to date until it is closed. Its methods may be called at
 * once by several threads. Those that ask the service wait for up to 15 seconds, and twice that where keys are fetched.
 * An interrupt ends the wait, and the thread stays interrupted.
 */
public final class LicenseClient implements AutoCloseable {
    /** The version of this package. */
    public static final String VERSION = "1.0.0";

    static final String CLOSED = "the client is closed";

    /** More than the longest token has. */
    static final int MAX_LICENSE_FILE = 256 << 10;

    private final LicenseService service;
    private final Keeper keeper;
    private final Log log;
    private final Background background;
    private final Semaphore turn = new Semaphore(1, true); // held by whoever asks the service or writes to the store
    private volatile boolean isClosed;

    private LicenseClient(Config c, Clock clock, DoubleSupplier random, Duration timeout) {
        CheckedConfig checked = CheckedConfig.of(c);
        log = new Log(c.log);
        service = new LicenseService(checked.base, c.http, timeout);
        if (c.http == null) {
            new EnvironmentProxies(System.getenv()).problem(checked.base).ifPresent(log::warning);
        }
        keeper = new Keeper(checked.rules, c.store, log, clock, random);
        background = new Background(keeper, this::tick, log);
        State state = keeper.state();
        if (!state.status().usable() && state.retryAt().isPresent()) {
            refresh();
        }
    }

    /**
     * Returns a client with the state that the store holds. It fails for the configuration only, never for the network.
     * Where the store holds no token that can be used, the service is asked first.
     *
     * @param c what the product goes by
     * @return the client, which must be closed
     * @throws IllegalArgumentException with all that is wrong with the configuration
     */
    public static LicenseClient open(Config c) {
        return open(c, Clock.systemUTC(), LicenseService.TIMEOUT);
    }

    static LicenseClient open(Config c, Clock clock, Duration timeout) {
        LicenseClient client = new LicenseClient(c, clock, LicenseClient::random, timeout);
        client.background.start();
        return client;
    }

    /** Returns a client without its thread, for tests that let the time pass themselves. */
    static LicenseClient openWithoutThread(Config c, Clock clock) {
        return new LicenseClient(c, clock, LicenseClient::random, LicenseService.TIMEOUT);
    }

    private static double random() {
        return ThreadLocalRandom.current().nextDouble();
    }

    Background background() {
        return background;
    }

    /** {@return what is known now; nothing is read or written for it} */
    public State state() {
        return keeper.state();
    }

    /**
     * Returns while the product may run. Like {@link #state} it neither reads nor writes anything.
     *
     * @throws Refusal if there is a definite no
     * @throws UnlicensedException if there is no license yet
     * @throws OfflineException if the service was not reached for too long
     * @throws ClockException if the clock of this computer is wrong
     */
    public void check() {
        state().check();
    }

    /**
     * Returns the token while the product may run, for a part of the product that checks it itself, as one in a
     * browser. It is as good as the license until it expires: show it to nobody else.
     *
     * @return the token, or nothing
     */
    public Optional<String> token() {
        return keeper.token();
    }

    /**
     * Has a listener told of the state, and then of each new one, until the client is closed. That is by the client's
     * own thread: a listener that is slow misses what is past, and holds up the client's next request. One may call
     * {@link #refresh}, and is not told of an answer to that which changes times only. One that has another thread call
     * it for each state would ask without end.
     *
     * @param listener gets the state
     * @return what ends that
     */
    public Runnable onChange(Consumer<State> listener) {
        return background.listen(listener);
    }

    /** {@return the state after the service was asked, whatever pause is running} */
    public State refresh() {
        if (take()) {
            try {
                ask();
            } finally {
                give();
            }
        }
        return state();
    }

    /**
     * Goes by another license key from now on, and asks for it. What is stored stays until there is an answer. With the
     * key that it has, it is {@link #refresh}.
     *
     * @param pasted the license key as the customer has pasted it; nobody is asked for an empty one
     * @return the state after that
     */
    public State setKey(String pasted) {
        keeper.setKey(pasted == null ? "" : pasted);
        background.publish();
        return keeper.rules().key.isEmpty() ? state() : refresh();
    }

    /**
     * Asks who holds the seats of the license, also where it cannot be used.
     *
     * @return the devices
     * @throws Refusal if there is no such license
     * @throws ServerException for an answer that says nothing
     * @throws IOException if there is no answer
     * @throws IllegalStateException after close
     */
    public Devices devices() throws IOException {
        requireOpen();
        Rules r = keeper.rules();
        LicenseService.Response got = service.listDevices(r);
        if (got.status != 200) {
            throw got.errorOrRefusal();
        }
        try {
            return Devices.read(got.body, Hashes.deviceId(r.licenseId, r.fingerprint));
        } catch (Json.MalformedException | ArithmeticException e) {
            throw got.errorOrRefusal();
        }
    }

    /**
     * Gives the seat of this computer back, as {@link #release(String)}.
     *
     * @throws Refusal if there is no such license, or with RELEASE_LIMIT_REACHED
     * @throws ServerException for an answer that says nothing
     * @throws IOException if there is no answer
     * @throws IllegalStateException after close
     */
    public void release() throws IOException {
        release("");
    }

    /**
     * Gives the seat of a device back. Where it is this computer, its token is deleted: the status is UNKNOWN, or stays
     * REFUSED, and the service is asked again by {@link #refresh}, {@link #setKey} or the next start only.
     *
     * @param id that of the device; empty or null for this computer
     * @throws Refusal if there is no such license, or with RELEASE_LIMIT_REACHED
     * @throws ServerException for an answer that says nothing
     * @throws IOException if there is no answer
     * @throws IllegalStateException after close
     */
    public void release(String id) throws IOException {
        String device = id == null ? "" : id;
        takeOrThrow();
        try {
            Rules r = keeper.rules();
            Instant asked = keeper.now();
            LicenseService.Response got = service.release(r, device);
            if (got.status != 204) {
                throw got.errorOrRefusal();
            }
            if (device.isEmpty() || device.equals(Hashes.deviceId(r.licenseId, r.fingerprint))) {
                keeper.forget(r, asked);
                background.publish();
            }
        } finally {
            give();
        }
    }

    /**
     * Reads a license file: the token of a computer without a network, in one line. One that is not good changes
     * nothing.
     *
     * @param file up to 256 KiB
     * @return the state after that
     * @throws TokenException if the token is none of the vendor, or for another license or device
     * @throws ClockException if it is not good at this moment
     * @throws Refusal if it was signed before the service said a definite no
     * @throws IOException if the file cannot be read
     * @throws IllegalStateException after close
     */
    public State importFile(Path file) throws IOException {
        byte[] text;
        try (InputStream in = Files.newInputStream(file)) {
            text = in.readNBytes(MAX_LICENSE_FILE + 1);
        }
        if (text.length > MAX_LICENSE_FILE) {
            throw new IOException(file + " is no license file: it has more than " + MAX_LICENSE_FILE + " bytes");
        }
        takeOrThrow();
        try {
            keeper.importToken(new String(text, StandardCharsets.UTF_8));
            background.publish();
        } finally {
            give();
        }
        return state();
    }

    /**
     * Ends the client, its thread and what it asks. The state can be asked for after that, and the service cannot. A
     * listener that is being told is interrupted, and waited for up to three seconds: the thread of one that goes on
     * ends after it.
     */
    @Override
    public void close() {
        isClosed = true;
        keeper.close();
        service.close();
        background.end();
        turn.acquireUninterruptibly(); // waits for whoever asks
        keeper.saveMark(Duration.ZERO);
        turn.release();
    }

    private void requireOpen() {
        if (isClosed) {
            throw new IllegalStateException(CLOSED);
        }
    }

    /** Waits for the turn. Whoever has it must give it back. It is false after close, and for an interrupt. */
    private boolean take() {
        try {
            turn.acquire();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
        boolean mayGo = !isClosed;
        if (!mayGo) {
            turn.release();
        }
        return mayGo;
    }

    private void takeOrThrow() throws InterruptedIOException {
        if (!take()) {
            requireOpen();
            throw new InterruptedIOException("the thread was interrupted");
        }
    }

    private void give() {
        turn.release();
        background.wake();
    }

    /** Asks when it is time to, unless another process of the product has. */
    void tick() {
        if (!take()) {
            return;
        }
        try {
            keeper.look();
            if (keeper.state().retryAt().filter(due -> !due.isAfter(keeper.now())).isPresent()) {
                ask();
            }
            background.publish();
            keeper.saveMark(Duration.ofHours(1));
        } finally {
            give();
        }
    }

    /** Asks the service and saves what it says. The caller has the turn. */
    private void ask() {
        Rules asker = keeper.rules();
        if (asker.key.isEmpty()) {
            return;
        }
        Instant asked = keeper.now();
        Answer answer = answer(asker);
        if (keeper.needsKeys(asker, answer)) {
            answer = fetchKeys(asker, answer);
        }
        Optional<Exception> problem = keeper.settle(asker, answer, asked);
        if (problem.isPresent()) {
            log.warning("the license service gave no answer", problem.get());
        } else {
            keeper.save(asker);
        }
        background.publish();
    }

    private Answer answer(Rules asker) {
        try {
            LicenseService.Response got = service.verify(asker);
            return Answer.read(got.status, got.headers, got.body, keeper.now());
        } catch (IOException | RuntimeException e) {
            return Answer.nothing(e, Duration.ZERO);
        } catch (Error e) { // of a product's own HttpClient
            return Answer.nothing(new IOException("the license service was not reached: " + e, e), Duration.ZERO);
        }
    }

    /** Returns the answer to settle then: the one that was given, or that the keys cannot be had. */
    private Answer fetchKeys(Rules asker, Answer given) {
        try {
            byte[] set = service.keySet();
            keeper.keysTried(asker);
            keeper.keysFetched(asker, set);
            return given;
        } catch (IOException | RuntimeException | PublicKeys.UnusableException e) {
            keeper.keysTried(asker);
            return Answer.nothing(new IOException("the public keys: " + e.getMessage(), e), given.retryAfter);
        }
    }
}
