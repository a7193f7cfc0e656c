package leaver;

import java.net.MalformedURLException;
import java.net.URL;
import java.security.NoSuchAlgorithmException;
import java.security.spec.InvalidKeySpecException;
import java.util.ArrayList;
import java.util.Date;
import org.capegroep.licensemanager.CAPELicenseVerifier;
import org.capegroep.licensemanager.License;
import org.capegroep.licensemanager.LicenseManager;
import org.capegroep.licensemanager.Result;

/** Application is one that was written for the client of the original: it uses all that is public there. */
public final class Application {
    private final LicenseManager manager = LicenseManager.getInstance();

    /** Starts with the license key that its administrator has entered. */
    public void start(String url, String licenseKey) throws MalformedURLException {
        manager.setLicenseKey(url == null ? null : new URL(url), licenseKey);
    }

    /** Returns what the application shows. */
    public String report() {
        Result result = manager.getValidationResult();
        if (!result.getResult()) {
            return "no report: " + result.getMessage();
        }
        License license = manager.getLicense();
        ArrayList<String> services = license.getServices();
        ArrayList<String> urls = license.getAppUrls();
        Date end = license.getLicenseExpirationDate();
        return "report for " + license.getCustomerName() + " with " + services + " at " + urls + " until "
                + end.getTime() + (result.getMessage().isEmpty() ? "" : ", " + result.getMessage());
    }

    /** Returns what a page of the application gets, or null. */
    public String token() {
        return manager.getAuthorizationToken();
    }

    /** Checks a token that came from elsewhere. */
    public Result check(String url, String token) {
        try {
            License license = CAPELicenseVerifier.decodeTokenToLicense(token);
            return CAPELicenseVerifier.verifyLicense(new URL(url), license);
        } catch (NoSuchAlgorithmException | InvalidKeySpecException | MalformedURLException e) {
            return new Result(false, e.getMessage());
        } catch (RuntimeException e) {
            return new Result(false, "no token");
        }
    }
}
