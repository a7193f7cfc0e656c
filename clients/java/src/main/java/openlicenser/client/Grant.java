package openlicenser.client;

import java.time.Duration;
import java.time.Instant;

/** Grant is what a genuine token says. Its times are not yet compared with the clock. */
final class Grant {
    final License license;
    final String kid;
    /** The claim iat. */
    final Instant issued;
    /** The later one of iat and nbf. */
    final Instant from;
    /** The claim exp. */
    final Instant expires;

    Grant(License license, String kid, Instant issued, Instant from, Instant expires) {
        this.license = license;
        this.kid = kid;
        this.issued = issued;
        this.from = from.isBefore(issued) ? issued : from;
        this.expires = expires;
    }

    boolean fits(Instant now, Duration skew) {
        return !from.isAfter(now.plus(skew)) && now.isBefore(expires);
    }

    /** There is no leeway for exp, and skew for iat and nbf. */
    void requireFits(Instant now, Duration skew) {
        if (from.isAfter(now.plus(skew))) {
            throw new ClockException(": the token is good from " + from + " on");
        }
        if (!now.isBefore(expires)) {
            throw new ClockException(", or the token is old: it has expired at " + expires);
        }
    }
}
