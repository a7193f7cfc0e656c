package openlicenser.client;

import java.time.Instant;

/** Knowledge is what is known of the license. Rules make another one of it, and never change it. */
final class Knowledge {
    /** What restarts keep. */
    Stored stored = Stored.NONE;
    /** What the stored token says; null where there is none. */
    Grant grant;
    /** The latest time ever seen. */
    Instant mark = Times.ZERO;
    /** When the service is asked next; ZERO for never. */
    Instant due = Times.ZERO;
    /** Attempts since the last answer about the license. */
    int failures;
    /** Of the last attempt; null for none. */
    Exception error;
    /** When the keys were asked for last. */
    Instant fetched = Times.ZERO;

    Knowledge copy() {
        Knowledge copy = new Knowledge();
        copy.stored = stored;
        copy.grant = grant;
        copy.mark = mark;
        copy.due = due;
        copy.failures = failures;
        copy.error = error;
        copy.fetched = fetched;
        return copy;
    }
}
