package openlicenser.client;

/** OfflineException says that the service was not reached for too long. Its cause is that of the last attempt. */
public final class OfflineException extends LicenseException {
    private static final long serialVersionUID = 1;

    OfflineException(Throwable cause) {
        super("the license service was not reached for too long", cause);
    }
}
