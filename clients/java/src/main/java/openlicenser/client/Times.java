package openlicenser.client;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/** Times reads the forms of time that the service and stored documents have. */
final class Times {
    /** No time: what documents of the Go client, which share a folder, have in its place. It is before all others. */
    static final Instant ZERO = Instant.parse("0001-01-01T00:00:00Z");

    private static final Pattern RFC_3339 = Pattern.compile(
            "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?(Z|[+-]\\d\\d:\\d\\d)");

    // RFC 9110 section 5.6.7: the one that is sent today, and the two that are obsolete.
    private static final List<DateTimeFormatter> HTTP_DATES = List.of(
            DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.US),
            DateTimeFormatter.ofPattern("EEEE, dd-MMM-yy HH:mm:ss 'GMT'", Locale.US),
            DateTimeFormatter.ofPattern("EEE MMM ppd HH:mm:ss yyyy", Locale.US));

    private Times() {
    }

    static Optional<Instant> optional(Instant time) {
        return time.equals(ZERO) ? Optional.empty() : Optional.of(time);
    }

    /** Returns the time that an RFC 3339 text says. */
    static Instant read(String text) throws DateTimeException {
        if (!RFC_3339.matcher(text).matches()) {
            throw new DateTimeException("no RFC 3339 date");
        }
        return OffsetDateTime.parse(text).toInstant();
    }

    /** Returns the time of an HTTP date, or ZERO where the text is none. */
    static Instant readHttp(String text) {
        for (DateTimeFormatter form : HTTP_DATES) {
            try {
                return LocalDateTime.parse(text, form).toInstant(ZoneOffset.UTC);
            } catch (DateTimeException e) {
                // the next form
            }
        }
        return ZERO;
    }

    /** Returns the time so many seconds after 1970, or the nearest that there is. */
    static Instant ofSeconds(long seconds) {
        return Instant.ofEpochSecond(
                Math.max(Instant.MIN.getEpochSecond(), Math.min(seconds, Instant.MAX.getEpochSecond())));
    }

    static Instant earlier(Instant a, Instant b) {
        return a.isBefore(b) ? a : b;
    }
}
