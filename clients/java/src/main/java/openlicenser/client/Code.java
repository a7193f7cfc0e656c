package openlicenser.client;

/** Code holds why a license may not be used: {@link State#reason} and {@link Refusal#code}. */
public final class Code {
    /** No license key of this vendor, or its license is gone. */
    public static final String INVALID_LICENSE = "INVALID_LICENSE";
    /** The vendor ended the license. Other codes of the service that begin with LICENSE_ may come. */
    public static final String LICENSE_REVOKED = "LICENSE_REVOKED";
    /** The vendor stopped the license for now. */
    public static final String LICENSE_SUSPENDED = "LICENSE_SUSPENDED";
    /** The end of the license and its days of grace have passed. */
    public static final String LICENSE_EXPIRED = "LICENSE_EXPIRED";
    /** Other devices hold all seats: see {@link LicenseClient#devices}. */
    public static final String DEVICE_LIMIT_REACHED = "DEVICE_LIMIT_REACHED";
    /** Too many seats were given back of late. Only {@link LicenseClient#release} says it. */
    public static final String RELEASE_LIMIT_REACHED = "RELEASE_LIMIT_REACHED";

    /** The license is without {@link Config.Builder#service}. This package says it itself. */
    public static final String SERVICE_NOT_LICENSED = "SERVICE_NOT_LICENSED";
    /** This version was released after the license's end of updates. This package says it itself. */
    public static final String UPDATES_ENDED = "UPDATES_ENDED";

    private Code() {
    }

    /** Reports whether a 400 with the code is a definite no. The codes of other 400s are mistakes of the product. */
    static boolean isRefusal(String code) {
        return code.equals(INVALID_LICENSE) || code.equals(DEVICE_LIMIT_REACHED) || code.startsWith("LICENSE_");
    }
}
