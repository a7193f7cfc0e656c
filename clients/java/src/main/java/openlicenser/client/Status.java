package openlicenser.client;

/** Status is what a product goes by. All but ACTIVE, GRACE and OFFLINE end the product, or the feature of it. */
public enum Status {
    /** There was no answer yet. */
    UNKNOWN("Unknown"),
    /** The license may be used. */
    ACTIVE("Active"),
    /** The license has ended, and its days of grace have not: tell the customer to renew. */
    GRACE("Grace"),
    /** As ACTIVE; but the last attempt brought no answer about the license. */
    OFFLINE("Offline"),
    /** The service, or what the license says, is a definite no: see {@link State#reason}. */
    REFUSED("Refused"),
    /** The clock was set back by more than a day, or is behind the token. */
    CLOCK_BACK("ClockBack"),
    /** No answer for too long: the token has expired, or {@link Config.Builder#offline} has passed. */
    OFFLINE_TOO_LONG("OfflineTooLong");

    private final String label;

    Status(String label) {
        this.label = label;
    }

    /** {@return the name that clients in all languages have for the status, as OfflineTooLong} */
    public String label() {
        return label;
    }

    /** {@return whether the product may run} */
    public boolean usable() {
        return this == ACTIVE || this == GRACE || this == OFFLINE;
    }
}
