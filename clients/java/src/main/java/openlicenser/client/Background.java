package openlicenser.client;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/** Background is the one thread of a client. It asks when it is time to, and tells listeners of new states. */
final class Background {
    /**
     * How often the store is read for what other processes were told, and the clock is looked at. Timers stand still
     * while a computer sleeps, so no wait is longer.
     */
    static final Duration LOOK_AROUND = Duration.ofMinutes(15);

    /** How long close waits for a listener that does not end when it is interrupted. */
    static final Duration LISTENER_ENDS = Duration.ofSeconds(3);

    private static final Duration AFTER_BUG = Duration.ofMinutes(1);

    private final Keeper keeper;
    private final Runnable tick;
    private final Log log;
    private final Thread thread = new Thread(this::run, "open-licenser");
    private final List<Listener> listeners = new CopyOnWriteArrayList<>();

    private State shown; // the last one that there was to tell of
    private boolean isWoken;
    private boolean isTelling;
    private boolean isEnded;

    Background(Keeper keeper, Runnable tick, Log log) {
        this.keeper = keeper;
        this.tick = tick;
        this.log = log;
        this.shown = keeper.state();
        thread.setDaemon(true);
    }

    private static final class Listener {
        final Consumer<State> consumer;
        State told;

        Listener(Consumer<State> consumer) {
            this.consumer = consumer;
        }
    }

    void start() {
        thread.start();
    }

    /** The listener is told of the state that there is, and then of each new one. The result ends that. */
    Runnable listen(Consumer<State> consumer) {
        Listener listener = new Listener(consumer);
        listeners.add(listener);
        publish();
        wake();
        return () -> listeners.remove(listener);
    }

    /** Says that the next attempt is at another time, or that there is something to tell. */
    synchronized void wake() {
        isWoken = true;
        notifyAll();
    }

    /** Has listeners told of a state that is another one than the last. */
    void publish() {
        State state = keeper.state();
        synchronized (this) {
            if (state.differs(shown)) {
                shown = state;
                passOver();
                wake();
            }
        }
    }

    /** A listener that asks, and is told of the answer, would ask again: of new times only, it is not told. */
    private void passOver() {
        if (!isTelling || thread != Thread.currentThread()) {
            return;
        }
        for (Listener listener : listeners) {
            if (listener.told != null && !shown.isOther(listener.told)) {
                listener.told = shown;
            }
        }
    }

    private void run() {
        while (!isEnded()) {
            try {
                tell();
                if (sleep(pause())) {
                    tick.run();
                }
            } catch (Throwable e) {
                log.error("a bug of the license client", e);
                sleep(AFTER_BUG);
            }
        }
    }

    private synchronized boolean isEnded() {
        return isEnded;
    }

    /** Returns how long nothing changes by itself. */
    Duration pause() {
        State state = keeper.state();
        Instant now = keeper.now();
        Instant due = state.retryAt().orElse(Instant.MAX);
        Duration pause = LOOK_AROUND;
        for (Instant at : List.of(due, state.usableUntil().orElse(now), state.license().expires())) {
            if (at.isAfter(now)) {
                pause = Pauses.shorter(pause, Duration.between(now, at));
            }
        }
        return due.isAfter(now) ? pause : Duration.ZERO;
    }

    /** Reports whether all of the time has passed. */
    private synchronized boolean sleep(Duration pause) {
        long end = System.nanoTime() + pause.toNanos();
        while (!isWoken && !isEnded) {
            long left = end - System.nanoTime();
            if (left <= 0) {
                return true;
            }
            try {
                wait(left / 1_000_000 + 1);
            } catch (InterruptedException e) {
                return false; // by end, or by what a listener has left
            }
        }
        isWoken = false;
        return false;
    }

    /** Tells each listener of the latest state, if it was not told of it. What is past is missed. */
    void tell() {
        for (Listener listener : listeners) {
            State state;
            synchronized (this) {
                state = shown;
                if (isEnded || listener.told == state) {
                    continue;
                }
                listener.told = state;
                isTelling = true;
            }
            try {
                listener.consumer.accept(state);
            } catch (Throwable e) {
                log.error("a listener has failed", e);
            } finally {
                doneTelling();
            }
        }
    }

    private synchronized void doneTelling() {
        isTelling = false;
        Thread.interrupted(); // that of end was for the listener
    }

    /** Ends the thread, and waits for it unless it is the caller. A listener is interrupted, and has three seconds. */
    void end() {
        synchronized (this) {
            isEnded = true;
            if (isTelling && thread != Thread.currentThread()) {
                thread.interrupt();
            }
            notifyAll();
        }
        boolean isInterrupted = false;
        long end = System.nanoTime() + LISTENER_ENDS.toNanos();
        while (thread != Thread.currentThread() && thread.isAlive()) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                break;
            }
            try {
                thread.join(left);
            } catch (InterruptedException e) {
                isInterrupted = true;
            }
        }
        if (isInterrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
