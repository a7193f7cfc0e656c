package org.capegroep.licensemanager;

import java.net.MalformedURLException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.security.NoSuchAlgorithmException;
import java.security.spec.InvalidKeySpecException;
import java.util.Date;
import openlicenser.client.Config;
import openlicenser.client.LicenseException;

/** CAPELicenseVerifier checks tokens, and licenses by them. */
public class CAPELicenseVerifier {
    private CAPELicenseVerifier() {
    }

    /**
     * Reads a token that one of the configured keys has signed, of whatever license.
     *
     * @param authorizationToken the token
     * @return what it says
     * @throws NoSuchAlgorithmException never; callers of the original catch it
     * @throws InvalidKeySpecException if no keys are configured
     * @throws LicenseException if the token is none of the vendor, or is not good now
     */
    public static License decodeTokenToLicense(String authorizationToken)
            throws NoSuchAlgorithmException, InvalidKeySpecException {
        byte[] trusted = LicenseManager.config().trusted();
        if (trusted.length == 0) {
            throw new InvalidKeySpecException("there are no trusted keys");
        }
        return decode(authorizationToken, trusted);
    }

    private static License decode(String token, byte[] trusted) {
        String keys = new String(trusted, StandardCharsets.UTF_8);
        return new License(openlicenser.client.License.read(token, keys), token);
    }

    /**
     * Reports whether a license is for the configured service and for the host of an application, and has not ended.
     * One in its days of grace has not.
     *
     * @param appURL the URL of the application
     * @param license the license
     * @return true with LOCAL_URL or an empty message; or false with INVALID_SERVICE_ID, LICENSE_EXPIRED or
     *     INVALID_APPURL
     * @throws MalformedURLException never; callers of the original catch it
     */
    public static Result verifyLicense(URL appURL, License license) throws MalformedURLException {
        boolean hasEnded = new Date().after(license.getLicenseExpirationDate()) && !isInGrace(license);
        return compare(appURL, license, hasEnded);
    }

    /** A token expires with the days of grace at the latest. */
    private static boolean isInGrace(License license) {
        try {
            decode(license.token(), LicenseManager.config().trusted());
            return true;
        } catch (LicenseException | IllegalArgumentException e) {
            return false;
        }
    }

    static Result compare(URL appUrl, License license, boolean hasEnded) {
        Config config = LicenseManager.config();
        if (!config.service().isEmpty() && !license.getServices().contains(config.service())) {
            return new Result(false, "INVALID_SERVICE_ID");
        }
        if (hasEnded) {
            return new Result(false, "LICENSE_EXPIRED");
        }
        if (!license.allowsHost(appUrl.getHost())) {
            return new Result(false, "INVALID_APPURL");
        }
        return new Result(true, isLocal(appUrl.getHost()) ? "LOCAL_URL" : "");
    }

    private static boolean isLocal(String host) {
        return host.equals("localhost") || host.equals("127.0.0.1") || host.startsWith("192.")
                || host.startsWith("10.");
    }
}
