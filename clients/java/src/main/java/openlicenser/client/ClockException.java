package openlicenser.client;

/** ClockException says that the clock of this computer is wrong, or that a token is not good at this moment. */
public final class ClockException extends LicenseException {
    private static final long serialVersionUID = 1;

    private static final String WRONG = "the clock of this computer is wrong";

    ClockException(Throwable cause) {
        super(WRONG, cause);
    }

    ClockException(String detail) {
        super(WRONG + detail);
    }
}
