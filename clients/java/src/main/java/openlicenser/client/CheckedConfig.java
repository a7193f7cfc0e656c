package openlicenser.client;

import java.net.URI;
import java.net.http.HttpClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** CheckedConfig is what follows from a configuration. */
final class CheckedConfig {
    private static final int MAX_DEVICE_NAME = 32; // bytes

    final Rules rules;
    final URI base;

    private CheckedConfig(Rules rules, URI base) {
        this.rules = rules;
        this.base = base;
    }

    /** Throws an IllegalArgumentException with all that is wrong. */
    static CheckedConfig of(Config c) {
        List<String> problems = new ArrayList<>();
        URI base = null;
        try {
            base = LicenseService.base(c.url);
        } catch (IllegalArgumentException e) {
            problems.add("url " + e.getMessage());
        }
        List<PublicKey> trusted = trusted(c, problems);
        if (c.store == null) {
            problems.add("there is no store");
        }
        if (Stream.of(c.refresh, c.offline, c.skew).anyMatch(Duration::isNegative)) {
            problems.add("refresh, offline and skew must not be negative");
        }
        if (!c.fingerprint.isEmpty() && !c.fingerprint.matches("[ -~]{8,256}")) {
            problems.add("fingerprint is not 8 to 256 printable ASCII characters");
        }
        if (Hashes.utf8(c.deviceName).length > MAX_DEVICE_NAME) {
            problems.add("deviceName has more than 32 bytes");
        }
        if (c.http != null && c.http.followRedirects() != HttpClient.Redirect.NEVER) {
            problems.add("http follows redirects, and could give the license key to another server");
        }
        if (!problems.isEmpty()) {
            throw new IllegalArgumentException("licensing: " + String.join("; ", problems));
        }
        return new CheckedConfig(new Rules(c, trusted), base);
    }

    private static List<PublicKey> trusted(Config c, List<String> problems) {
        if (c.trusted.length == 0) {
            if (!c.trustOnFirstUse) {
                problems.add("there is neither trusted nor trustOnFirstUse");
            }
            return List.of();
        }
        try {
            return PublicKeys.read(c.trusted);
        } catch (PublicKeys.UnusableException e) {
            problems.add("trusted: " + e.getMessage());
            return List.of();
        }
    }
}
