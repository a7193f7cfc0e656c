package openlicenser.client;

/** LicenseException is why the product may not run. Its messages hold neither the license key nor the token. */
public abstract class LicenseException extends RuntimeException {
    private static final long serialVersionUID = 1;

    LicenseException(String message) {
        super(message);
    }

    LicenseException(String message, Throwable cause) {
        super(cause == null ? message : message + ": " + cause.getMessage(), cause);
    }
}
