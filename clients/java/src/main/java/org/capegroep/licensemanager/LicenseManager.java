package org.capegroep.licensemanager;

import java.net.URL;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import openlicenser.client.Code;
import openlicenser.client.Config;
import openlicenser.client.LicenseClient;
import openlicenser.client.LicenseException;
import openlicenser.client.ServerException;
import openlicenser.client.State;

/**
 * LicenseManager holds the license of an application. There is one in a program. Its getters read memory alone.
 *
 * <p>What stood in the source of the original comes from {@link #configure}, or else from the resource
 * open-licenser.properties with url, service, trusted (the name of a resource with the public keys, trusted.json unless
 * set) and folder (where the token is kept; without it, in memory; ~/ is the user's home). System properties as
 * openlicenser.url come before it.
 */
public class LicenseManager {
    private static final Result NOT_INITIALIZED = new Result(false, "NOT_INITIALIZED");
    private static final Result NOT_FOUND = new Result(false, "LICENSE_NOT_FOUND");

    private static LicenseManager instance;
    private static Config config;

    /** Licensed is an application with a license key. */
    private static final class Licensed {
        final URL appUrl;
        final LicenseClient client;

        Licensed(URL appUrl, LicenseClient client) {
            this.appUrl = appUrl;
            this.client = client;
        }
    }

    private volatile Licensed licensed; // null for none
    private volatile Result otherwise = NOT_INITIALIZED;

    private LicenseManager() {
    }

    /**
     * Sets which service is asked, which keys are trusted, and all else but the license key. Call it before
     * {@link #setLicenseKey}. Called again, it ends what was set before.
     *
     * @param c the configuration, whose license key does not count; null for that of the resource
     */
    public static void configure(Config c) {
        getInstance().end(NOT_INITIALIZED);
        setConfig(c);
    }

    private static synchronized void setConfig(Config c) {
        config = c;
    }

    /** What is not found is looked for again: another thread may see it. */
    static synchronized Config config() {
        if (config != null) {
            return config;
        }
        Settings settings = Settings.load();
        if (settings.missing.isEmpty()) {
            config = settings.config;
        }
        return settings.config;
    }

    /** Returns the resources that there are not, as the end of a message. */
    private static synchronized String missing() {
        List<String> missing = config == null ? Settings.load().missing : List.of();
        return missing.isEmpty() ? "" : "; there is no resource " + String.join(", nor ", missing);
    }

    /** {@return the one instance} */
    public static synchronized LicenseManager getInstance() {
        if (instance == null) {
            instance = new LicenseManager();
        }
        return instance;
    }

    /**
     * Sets the license key. A stored token counts at once at the first call. The service is asked for another key, and
     * then once a day.
     *
     * @param appUrl the URL of the application, whose host the license is to allow
     * @param licenseKey the license key as the customer has pasted it
     * @throws IllegalArgumentException with all that is wrong with the configuration
     */
    public synchronized void setLicenseKey(URL appUrl, String licenseKey) {
        if (appUrl == null || appUrl.toString().isEmpty() || licenseKey == null || licenseKey.isEmpty()) {
            end(NOT_FOUND);
        } else if (licensed == null) {
            licensed = new Licensed(appUrl, open(licenseKey));
        } else {
            licensed = new Licensed(appUrl, licensed.client);
            licensed.client.setKey(licenseKey);
        }
        announce();
    }

    private static LicenseClient open(String licenseKey) {
        Config c = config();
        System.Logger log = Optional.ofNullable(c.log()).orElseGet(LicenseManager::logger);
        try {
            return LicenseClient.open(c.toBuilder().key(licenseKey).log(log).build());
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(e.getMessage() + missing(), e);
        }
    }

    private synchronized void end(Result after) {
        Licensed before = licensed;
        licensed = null;
        otherwise = after;
        if (before != null) {
            before.client.close();
        }
    }

    private static System.Logger logger() {
        return System.getLogger(LicenseManager.class.getName());
    }

    private void announce() {
        License license = getLicense();
        String message = license == null ? getValidationResult().getMessage()
                : "Licensed to " + license.getCustomerName() + ". Valid until: " + license.getLicenseExpirationDate();
        try {
            logger().log(System.Logger.Level.INFO, message);
        } catch (Throwable e) {
            // a log that fails must not end the application
        }
    }

    /** {@return the license, or null where the application may not run} */
    public License getLicense() {
        Licensed l = licensed;
        return l == null ? null : usable(l).orElse(null);
    }

    /** {@return the token, or null where the application may not run} */
    public String getAuthorizationToken() {
        License license = getLicense();
        return license == null ? null : license.token();
    }

    /**
     * Returns whether the application may run, and why not.
     *
     * @return true with LOCAL_URL or an empty message; or false with NOT_INITIALIZED, LICENSE_NOT_FOUND,
     *     INVALID_SERVICE_ID, LICENSE_EXPIRED, INVALID_APPURL, CONNECTION_WITH_LICENSE_SERVER_FAILED, CLOCK_BACK,
     *     UPDATES_ENDED, LOGTRANSPORTER_INTERNAL_ERROR for a token that is none, or a code of the service
     */
    public Result getValidationResult() {
        Licensed l = licensed;
        return l == null ? otherwise : result(l, l.client.state());
    }

    private static Optional<License> usable(Licensed l) {
        State state = l.client.state();
        if (!result(l, state).getResult()) {
            return Optional.empty();
        }
        return l.client.token().map(token -> new License(state.license(), token));
    }

    private static Result result(Licensed l, State state) {
        if (state.status().usable()) {
            return CAPELicenseVerifier.compare(l.appUrl, new License(state.license(), ""), false);
        }
        switch (state.status()) {
            case REFUSED:
                boolean isOfService = state.reason().equals(Code.SERVICE_NOT_LICENSED);
                return new Result(false, isOfService ? "INVALID_SERVICE_ID" : state.reason());
            case CLOCK_BACK:
                return new Result(false, "CLOCK_BACK");
            case OFFLINE_TOO_LONG:
                boolean hasEnded = !Instant.now().isBefore(state.license().expires());
                return new Result(false, hasEnded ? "LICENSE_EXPIRED" : messageOf(state.error().orElse(null)));
            default:
                return new Result(false, messageOf(state.error().orElse(null)));
        }
    }

    /** A 400 that is no refusal is a mistake of the product, which the original shows too. */
    private static String messageOf(Exception error) {
        if (error instanceof ServerException) {
            ServerException answer = (ServerException) error;
            if (answer.status() == 400 && !answer.code().isEmpty()) {
                return answer.code();
            }
        }
        return error instanceof LicenseException
                ? "LOGTRANSPORTER_INTERNAL_ERROR" : "CONNECTION_WITH_LICENSE_SERVER_FAILED";
    }
}
