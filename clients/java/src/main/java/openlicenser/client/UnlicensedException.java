package openlicenser.client;

/** UnlicensedException says that there is no license yet. Its cause is why the last attempt brought no answer. */
public final class UnlicensedException extends LicenseException {
    private static final long serialVersionUID = 1;

    UnlicensedException(Throwable cause) {
        super("there is no license yet", cause);
    }
}
