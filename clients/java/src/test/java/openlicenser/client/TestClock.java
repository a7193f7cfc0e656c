package openlicenser.client;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;

/** TestClock stands still until it is moved. */
final class TestClock extends Clock {
    private volatile Instant now = Instant.parse("2027-01-01T12:00:00Z");

    void move(Duration by) {
        now = now.plus(by);
    }

    /** Lets time pass for clients as their threads would. */
    void sleep(Duration time, LicenseClient... clients) {
        Instant end = now.plus(time);
        while (true) {
            Duration pause = Duration.between(now, end);
            for (LicenseClient client : clients) {
                pause = Pauses.shorter(pause, client.background().pause());
            }
            now = now.plus(pause);
            if (!now.isBefore(end)) {
                return;
            }
            for (LicenseClient client : clients) {
                client.tick();
                client.background().tell();
            }
        }
    }

    @Override
    public Instant instant() {
        return now;
    }

    @Override
    public ZoneId getZone() {
        return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(ZoneId zone) {
        return this;
    }
}
