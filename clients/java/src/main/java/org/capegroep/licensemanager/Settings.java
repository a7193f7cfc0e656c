package org.capegroep.licensemanager;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Properties;
import openlicenser.client.Config;
import openlicenser.client.Store;

/** Settings are what was to be edited in the source of the original: a resource, and system properties before it. */
final class Settings {
    private static final String RESOURCE = "open-licenser.properties";
    private static final String SYSTEM_PREFIX = "openlicenser.";

    private final Properties resource = new Properties();
    private final ClassLoader classes;

    private Settings(ClassLoader classes) throws IOException {
        this.classes = classes;
        try (InputStream in = classes.getResourceAsStream(RESOURCE)) {
            if (in != null) {
                resource.load(in);
            }
        }
    }

    /** Returns the configuration without a license key. What is missing is found when it is used. */
    static Config load() {
        ClassLoader ofThread = Thread.currentThread().getContextClassLoader();
        try {
            return new Settings(ofThread == null ? Settings.class.getClassLoader() : ofThread).config();
        } catch (IOException e) {
            throw new UncheckedIOException(RESOURCE, e);
        }
    }

    private Config config() throws IOException {
        String folder = get("folder", "");
        return Config.builder().url(get("url", "")).service(get("service", ""))
                .trusted(trusted(get("trusted", "trusted.json")))
                .store(folder.isEmpty() ? Store.memory() : Store.dir(path(folder))).build();
    }

    private String get(String name, String otherwise) {
        return System.getProperty(SYSTEM_PREFIX + name, resource.getProperty(name, otherwise)).strip();
    }

    private static Path path(String folder) {
        boolean isOfUser = folder.startsWith("~/");
        return isOfUser ? Path.of(System.getProperty("user.home"), folder.substring(2)) : Path.of(folder);
    }

    private byte[] trusted(String name) throws IOException {
        try (InputStream in = classes.getResourceAsStream(name)) {
            return in == null ? new byte[0] : in.readAllBytes();
        }
    }
}
