package guard;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.Optional;
import openlicenser.client.Code;
import openlicenser.client.Config;
import openlicenser.client.Device;
import openlicenser.client.Fingerprints;
import openlicenser.client.LicenseClient;
import openlicenser.client.LicenseException;
import openlicenser.client.State;
import openlicenser.client.Store;

/**
 * Guard is a product that runs while its license says so. It has a free part, and a feature that is sold:
 *
 * <pre>
 * java guard.Guard https://licenses.example.com trusted.json folder 06CX38-KW7SXN-…
 * java guard.Guard https://licenses.example.com trusted.json folder           # later: the key is remembered
 * </pre>
 *
 * <p>licenser token-key export writes the file trusted.json. A real product has it as a resource, with the URL.
 */
public final class Guard {
    private static final String APP_ID = "com.example.guard";
    /** When this version came out. A release build sets it. */
    private static final Instant RELEASED = Instant.parse("2026-01-01T00:00:00Z");

    private Guard() {
    }

    /** Runs the product. */
    public static void main(String[] arguments) throws IOException {
        if (arguments.length < 3) {
            System.err.println("guard URL TRUSTED FOLDER [KEY]");
            System.exit(2);
        }
        Path folder = Path.of(arguments[2]);
        Config config = Config.builder().url(arguments[0]).trusted(Files.readString(Path.of(arguments[1])))
                .key(rememberedKey(folder, arguments.length > 3 ? arguments[3] : "")).service("reports")
                .released(RELEASED).fingerprint(Fingerprints.of(APP_ID)).deviceName("guard")
                .store(Store.dir(folder.resolve("license"))).build();
        try (LicenseClient client = LicenseClient.open(config)) {
            System.out.println("Hello. This part is free.");
            report(client);
        } catch (LicenseException e) {
            System.err.println("guard: " + e.getMessage());
            System.exit(1);
        }
    }

    /** The feature that is sold. */
    private static void report(LicenseClient client) throws IOException {
        State state = client.state();
        if (!state.status().usable()) {
            System.out.println(advice(state));
        }
        if (state.reason().equals(Code.DEVICE_LIMIT_REACHED)) {
            for (Device device : client.devices().list()) {
                System.out.println("  " + device.id() + "  " + device.name() + " until " + device.until());
            }
        }
        client.check();
        System.out.println("The report for " + state.license().customerName() + ". " + advice(state));
    }

    /** Says in words for customers what a state means. */
    private static String advice(State state) {
        switch (state.status()) {
            case ACTIVE:
                return "Your license is good.";
            case GRACE:
                return "Your license has ended. Please renew it until " + day(state.usableUntil()) + ".";
            case OFFLINE:
                return "Your license is good. Please connect until " + day(state.usableUntil()) + ".";
            case OFFLINE_TOO_LONG:
                return "Your license was not checked for too long. Please connect this computer to the network.";
            case CLOCK_BACK:
                return "The clock of this computer is wrong. Please set it.";
            case REFUSED:
                return refusal(state.reason());
            default:
                return "Please enter your license key.";
        }
    }

    private static String refusal(String code) {
        switch (code) {
            case Code.INVALID_LICENSE:
                return "This is not one of our license keys. Please look whether it is complete.";
            case Code.LICENSE_EXPIRED:
                return "Your license has ended. Please renew it.";
            case Code.DEVICE_LIMIT_REACHED:
                return "Other computers use your license. Give one of these back:";
            case Code.SERVICE_NOT_LICENSED:
                return "Your license is for another product.";
            case Code.UPDATES_ENDED:
                return "Your license is for earlier versions. Please renew it, or install one of these.";
            default:
                return "Your license may not be used (" + code + "). Please ask us.";
        }
    }

    private static String day(Optional<Instant> at) {
        return at.map(time -> time.atZone(ZoneOffset.UTC).toLocalDate().toString()).orElse("");
    }

    /** Keeps the key that the customer has given once. */
    private static String rememberedKey(Path folder, String pasted) throws IOException {
        Path file = folder.resolve("license-key");
        if (pasted.isEmpty()) {
            return Files.exists(file) ? Files.readString(file) : "";
        }
        Files.createDirectories(folder);
        Files.writeString(file, pasted);
        return pasted;
    }
}
