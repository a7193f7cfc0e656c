package openlicenser.client;

import java.time.Duration;

/** Pauses says how long to wait. Where it draws, the number is from 0 to 1. */
final class Pauses {
    static final Duration SHORTEST = Duration.ofSeconds(2);
    static final Duration LONGEST = Duration.ofHours(6);
    /** After a refusal, which the vendor may take back, or the customer's renewal ends. */
    static final Duration REFUSED = Duration.ofHours(1);
    /** Halves of a remaining life would become ever shorter. */
    static final Duration MIN_REFRESH = Duration.ofMinutes(1);
    /** Between two requests for keys. */
    static final Duration KEYS = Duration.ofMinutes(1);

    private Pauses() {
    }

    /** Returns a random pause between two seconds and what doubles with each failure, up to six hours. */
    static Duration backOff(int failures, double random) {
        Duration longest = LONGEST;
        if (failures < 14) { // 2 s << 14 is over nine hours
            longest = shorter(longest, SHORTEST.multipliedBy(1L << failures));
        }
        return SHORTEST.plus(part(longest.minus(SHORTEST), random));
    }

    /** Returns a time, give or take a tenth, so that not all products ask at once. */
    static Duration jitter(Duration time, double random) {
        return time.minus(time.dividedBy(10)).plus(part(time.dividedBy(5), random));
    }

    static Duration part(Duration of, double random) {
        return Duration.ofNanos((long) (random * of.toNanos()));
    }

    static Duration shorter(Duration a, Duration b) {
        return a.compareTo(b) < 0 ? a : b;
    }

    static Duration longer(Duration a, Duration b) {
        return a.compareTo(b) > 0 ? a : b;
    }
}
