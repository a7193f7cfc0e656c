package openlicenser.client;

import java.time.Instant;
import java.util.Optional;

/** State is what is known of the license at one moment. It never changes. */
public final class State {
    private final Status status;
    private final String reason;
    private final License license;
    private final Instant checkedAt;
    private final Instant usableUntil;
    private final Instant retryAt;
    private final Exception error;

    State(Status status, String reason, License license, Instant usableUntil, Knowledge known) {
        this.status = status;
        this.reason = reason;
        this.license = license;
        this.checkedAt = known.stored.checked;
        this.usableUntil = usableUntil;
        this.retryAt = known.due;
        this.error = known.error;
    }

    /** {@return what the product goes by} */
    public Status status() {
        return status;
    }

    /** {@return why, where the status is REFUSED: one of {@link Code}, or what a later service says; else empty} */
    public String reason() {
        return reason;
    }

    /** {@return the license, which is an empty one where there is no token} */
    public License license() {
        return license;
    }

    /** {@return when the service last said yes or no, by this computer's clock} */
    public Optional<Instant> checkedAt() {
        return Times.optional(checkedAt);
    }

    /** {@return until when the product runs if there is no further answer; empty where there is no token} */
    public Optional<Instant> usableUntil() {
        return Times.optional(usableUntil);
    }

    /** {@return when the service is asked next; empty for never} */
    public Optional<Instant> retryAt() {
        return Times.optional(retryAt);
    }

    /** {@return why the last attempt brought no answer about the license; never a refusal of the service} */
    public Optional<Exception> error() {
        return Optional.ofNullable(error);
    }

    /** Reports whether listeners are told of this state after the other one. */
    boolean differs(State other) {
        return isOther(other) || !checkedAt.equals(other.checkedAt) || !usableUntil.equals(other.usableUntil);
    }

    /** Reports whether more than times of answers is another. */
    boolean isOther(State than) {
        return status != than.status || !reason.equals(than.reason) || (error == null) != (than.error == null)
                || !license.says(than.license);
    }

    /** Returns without a result where the product may run. */
    void check() {
        switch (status) {
            case ACTIVE:
            case GRACE:
            case OFFLINE:
                return;
            case REFUSED:
                throw new Refusal(reason);
            case CLOCK_BACK:
                throw new ClockException(error);
            case OFFLINE_TOO_LONG:
                throw new OfflineException(error);
            default:
                throw new UnlicensedException(error);
        }
    }

    /** {@return status, reason and error, for logs: neither the license key nor the token} */
    @Override
    public String toString() {
        String why = error == null ? "" : ", " + error.getMessage();
        return status.label() + (reason.isEmpty() ? "" : " " + reason) + why;
    }
}
