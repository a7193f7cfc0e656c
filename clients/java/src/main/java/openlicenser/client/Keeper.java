package openlicenser.client;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/**
 * Keeper keeps what is known, in memory and in the store. It knows no network and no threads. Its methods may be called
 * at once by several threads; those that save, by the one that has the client's turn.
 */
final class Keeper {
    private static final String LICENSE = "license";
    private static final String CLOCK = "clock";

    private final Store store;
    private final Log log;
    private final Clock clock;
    private final DoubleSupplier random; // from 0 to 1

    private Rules rules;
    private Knowledge known;
    private Instant savedMark;
    private boolean isClosed;

    Keeper(Rules rules, Store store, Log log, Clock clock, DoubleSupplier random) {
        this.rules = rules;
        this.store = store;
        this.log = log;
        this.clock = clock;
        this.random = random;
        this.savedMark = loadMark();
        this.known = rules.started(load().orElse(Stored.NONE), savedMark, now(), random.getAsDouble());
    }

    Instant now() {
        return clock.instant();
    }

    synchronized Rules rules() {
        return rules;
    }

    /** Returns what is known now. It neither reads nor writes anything. */
    synchronized State state() {
        Instant now = now();
        known = rules.seen(known, now);
        return rules.state(known, now);
    }

    /** Returns the token while the product may run. */
    synchronized Optional<String> token() {
        return state().status().usable() ? Optional.of(known.stored.token) : Optional.empty();
    }

    /** What is asked for from now on is not settled. */
    synchronized void close() {
        isClosed = true;
    }

    /** Returns the stored record, an empty one for none or a damaged one, and nothing where the store fails. */
    private Optional<Stored> load() {
        try {
            Optional<byte[]> document = store.load(LICENSE);
            return Optional.of(document.isPresent() ? Stored.read(document.get()) : Stored.NONE);
        } catch (Stored.DamagedException e) {
            log.warning("the service is asked anew", e);
            return Optional.of(Stored.NONE);
        } catch (Throwable e) { // of a product's own store
            log.warning("the stored license cannot be read", e);
            return Optional.empty();
        }
    }

    private Instant loadMark() {
        try {
            return store.load(CLOCK).map(Stored::readMark).orElse(Times.ZERO);
        } catch (Throwable e) {
            log.warning("the stored clock mark cannot be read", e);
            return Times.ZERO;
        }
    }

    /** Goes by another license key from now on. The one that it has changes nothing, and forgets nothing. */
    void setKey(String pasted) {
        String key = LicenseKeys.clean(pasted);
        if (key.equals(rules().key)) {
            return;
        }
        Stored stored = load().orElse(Stored.NONE);
        synchronized (this) {
            if (key.equals(rules.key)) {
                return; // another thread was faster
            }
            Knowledge before = known;
            rules = rules.withKey(pasted);
            known = rules.started(stored, before.mark, now(), random.getAsDouble());
            if (known.stored.keys.isEmpty()) { // they are the service's, not the license's
                known.stored = known.stored.withKeys(before.stored.keys);
            }
        }
    }

    /** Standing is how what is stored compares with what is known. */
    private enum Standing { NEWER, OLDER, OTHER }

    /** Takes over what another process was told, if that is newer and of use to this one. */
    private Standing adopt() {
        Optional<Stored> loaded = load();
        if (loaded.isEmpty()) {
            return Standing.OTHER;
        }
        Stored stored = loaded.get();
        synchronized (this) {
            Instant now = now();
            if (!stored.isNewer(known.stored, now)) {
                return stored.isBehind(known.stored) ? Standing.OLDER : Standing.OTHER;
            }
            known = rules.adopted(known, stored, now, random.getAsDouble());
            return Standing.NEWER;
        }
    }

    /** Adopts what is newer. What a failed save has lost, or an older answer has replaced, is stored again. */
    void look() {
        Rules asker = rules();
        if (adopt() == Standing.OLDER) {
            write(asker);
        }
    }

    synchronized boolean needsKeys(Rules asker, Answer answer) {
        return asker.key.equals(rules.key) && !isClosed && rules.needsKeys(known, answer, now());
    }

    synchronized void keysTried(Rules asker) {
        if (asker.key.equals(rules.key)) {
            known = rules.keysTried(known, now());
        }
    }

    void keysFetched(Rules asker, byte[] set) throws PublicKeys.UnusableException {
        var keys = PublicKeys.readSet(set);
        synchronized (this) {
            if (asker.key.equals(rules.key)) {
                known = rules.keysFetched(known, keys);
            }
        }
    }

    /** Knows an answer, unless there is another license key meanwhile. It returns why the answer is none. */
    synchronized Optional<Exception> settle(Rules asker, Answer answer, Instant asked) {
        if (isClosed) {
            return Optional.of(new IllegalStateException(LicenseClient.CLOSED));
        }
        if (!asker.key.equals(rules.key)) {
            return Optional.of(new IllegalStateException("there is another license key meanwhile"));
        }
        known = rules.answered(known, answer, asked, now(), random.getAsDouble());
        return Optional.ofNullable(known.error);
    }

    /** Deletes the token. Other processes of the product read that, and ask anew. */
    void forget(Rules asker, Instant asked) {
        synchronized (this) {
            if (asker.key.equals(rules.key)) {
                known = rules.released(known, asked);
            }
        }
        save(asker);
    }

    void importToken(String token) {
        Rules asker;
        synchronized (this) {
            asker = rules;
            known = rules.imported(known, token, now(), random.getAsDouble());
        }
        save(asker);
    }

    /**
     * Stores what is known, unless another process has stored what is newer: that is known then, if it is of use. A
     * crash before the rename leaves the older state, with which the service is asked again. A definite no that cannot
     * be stored holds for this process only, until it can be: each look at the store tries again.
     */
    void save(Rules asker) {
        if (adopt() != Standing.NEWER) {
            write(asker);
        }
        saveMark(Duration.ZERO);
    }

    private void write(Rules asker) {
        byte[] document;
        synchronized (this) {
            if (!asker.key.equals(rules.key)) {
                return;
            }
            document = known.stored.write();
        }
        try {
            store.save(LICENSE, document);
        } catch (Throwable e) {
            log.error("the license cannot be stored: a restart without network will not know of it", e);
        }
    }

    /** Stores the latest time that was seen, if it has moved by so much, or was set back. */
    void saveMark(Duration by) {
        Instant mark;
        synchronized (this) {
            mark = known.mark;
            Duration moved = Duration.between(savedMark, mark);
            if (moved.isZero() || !moved.isNegative() && moved.compareTo(by) < 0) {
                return;
            }
        }
        try {
            store.save(CLOCK, Stored.writeMark(mark));
            synchronized (this) {
                savedMark = mark;
            }
        } catch (Throwable e) {
            log.warning("the clock mark cannot be saved", e);
        }
    }
}
