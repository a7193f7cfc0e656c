package openlicenser.client;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Fingerprints tell computers apart, for {@link Config.Builder#fingerprint}. */
public final class Fingerprints {
    private static final Pattern PLATFORM_UUID = Pattern.compile("\"IOPlatformUUID\" = \"([^\"]+)\"");
    private static final Pattern MACHINE_GUID = Pattern.compile("MachineGuid\\s+REG_SZ\\s+(\\S+)");
    private static final int MIN_ID = 16; // characters

    private Fingerprints() {
    }

    /**
     * Returns a text that tells this computer from others: the same as FingerprintOf of the Go client. It is a hash of
     * the operating system's machine id and of the product's name, so that products cannot compare theirs. Where the
     * system has no such id, as in many containers, a random one is kept in the user's configuration folder. Copies of
     * a virtual machine have the same machine id, and so the same fingerprint.
     *
     * @param appId the product, as com.example.reports
     * @return 64 characters; or none where there is no id and none can be kept: licenses with devices are refused then
     */
    public static String of(String appId) {
        Optional<String> id = machineId();
        if (id.isEmpty()) {
            id = configFolder(System.getenv()).flatMap(f -> installationId(f.resolve("open-licenser"), appId));
        }
        return from(id.orElse(""), appId);
    }

    static String from(String machineId, String appId) {
        return machineId.isEmpty() ? "" : Hashes.hex(
                Hashes.hmac(Hashes.utf8(machineId), Hashes.utf8("Open Licenser fingerprint " + appId)));
    }

    private static String system() {
        return System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
    }

    /** Returns the id that the operating system keeps from its installation on. */
    private static Optional<String> machineId() {
        if (system().startsWith("mac")) {
            return outputField(PLATFORM_UUID, "/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice");
        }
        if (system().startsWith("windows")) {
            Path program = Path.of(System.getenv().getOrDefault("SystemRoot", ""), "System32", "reg.exe");
            return outputField(MACHINE_GUID, program.toString(), "query",
                    "HKLM\\SOFTWARE\\Microsoft\\Cryptography", "/v", "MachineGuid", "/reg:64");
        }
        return firstId(Path.of("/etc/machine-id"), Path.of("/var/lib/dbus/machine-id"), Path.of("/etc/hostid"));
    }

    private static Optional<String> outputField(Pattern field, String... command) {
        try {
            Process program = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            program.getOutputStream().close();
            try (InputStream output = program.getInputStream()) {
                Matcher found = field.matcher(new String(output.readAllBytes(), Charset.defaultCharset()));
                return found.find() ? Optional.of(found.group(1)) : Optional.empty();
            }
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Returns the first file that holds an id. An image that is not installed yet says "uninitialized". */
    static Optional<String> firstId(Path... files) {
        for (Path file : files) {
            try {
                String id = new String(Files.readAllBytes(file), StandardCharsets.UTF_8).strip();
                if (id.length() >= MIN_ID) {
                    return Optional.of(id);
                }
            } catch (IOException e) {
                // the next one
            }
        }
        return Optional.empty();
    }

    /** Returns where the user's programs keep their settings: as os.UserConfigDir of Go. */
    static Optional<Path> configFolder(Map<String, String> environment) {
        if (system().startsWith("windows")) {
            return absolute(environment.get("AppData"), List.of());
        }
        if (system().startsWith("mac")) {
            return absolute(environment.get("HOME"), List.of("Library", "Application Support"));
        }
        String set = environment.getOrDefault("XDG_CONFIG_HOME", "");
        return set.isEmpty() ? absolute(environment.get("HOME"), List.of(".config")) : absolute(set, List.of());
    }

    private static Optional<Path> absolute(String folder, List<String> inside) {
        if (folder == null || folder.isEmpty() || !Path.of(folder).isAbsolute()) {
            return Optional.empty();
        }
        return Optional.of(Path.of(folder, inside.toArray(new String[0])));
    }

    /**
     * Returns the random id of this user's installation, which it makes if there is none. The file is linked into
     * place, so that of two processes that make it at once both read the same one.
     */
    static Optional<String> installationId(Path folder, String appId) {
        byte[] hash = Arrays.copyOf(Hashes.sha256(Hashes.utf8(appId)), 16);
        Path file = folder.resolve(Hashes.hex(hash) + ".id");
        Optional<String> id = firstId(file);
        if (id.isPresent()) {
            return id;
        }
        Path made = null;
        try {
            new DirStore(folder).makeFolder();
            made = Files.createTempFile(folder, file.getFileName() + ".", "");
            Files.write(made, Hashes.utf8(randomId() + "\n"), StandardOpenOption.WRITE, StandardOpenOption.SYNC);
            link(made, file);
        } catch (IOException e) {
            // whether there is an id counts
        } finally {
            delete(made);
        }
        return firstId(file);
    }

    private static void link(Path made, Path file) throws IOException {
        try {
            Files.createLink(file, made);
        } catch (IOException | UnsupportedOperationException e) {
            if (firstId(file).isEmpty()) {
                Files.move(made, file, StandardCopyOption.REPLACE_EXISTING); // a file system without links
            }
        }
    }

    private static void delete(Path file) {
        try {
            if (file != null) {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            // it stays, and harms nothing
        }
    }

    private static String randomId() {
        SecureRandom random = new SecureRandom();
        StringBuilder id = new StringBuilder();
        while (id.length() < 26) { // 130 bits
            id.append("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".charAt(random.nextInt(32)));
        }
        return id.toString();
    }
}
