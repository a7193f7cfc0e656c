package openlicenser.client;

import java.time.Instant;

/** Device is a device that holds a seat. */
public final class Device {
    private final String id;
    private final String name;
    private final Instant since;
    private final Instant until;
    private final boolean isThis;

    Device(String id, String name, Instant since, Instant until, boolean isThis) {
        this.id = id;
        this.name = name;
        this.since = since;
        this.until = until;
        this.isThis = isThis;
    }

    /** {@return the id, for {@link LicenseClient#release}} */
    public String id() {
        return id;
    }

    /** {@return the name, for people; it may be empty} */
    public String name() {
        return name;
    }

    /** {@return since when it holds the seat} */
    public Instant since() {
        return since;
    }

    /** {@return the end of its last token} */
    public Instant until() {
        return until;
    }

    /** {@return whether it is this computer} */
    public boolean isThis() {
        return isThis;
    }

    @Override
    public String toString() {
        return id + " " + name;
    }
}
