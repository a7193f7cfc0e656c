package org.capegroep.licensemanager;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import openlicenser.client.Config;
import openlicenser.client.Store;

/** Settings are what was to be edited in the source of the original: a resource, and system properties before it. */
final class Settings {
    private static final String RESOURCE = "open-licenser.properties";
    private static final String SYSTEM_PREFIX = "openlicenser.";

    /** Has no license key. What is missing is found when it is used. */
    final Config config;
    /** The resources that there are not. */
    final List<String> missing = new ArrayList<>();

    private final Properties resource = new Properties();

    private Settings() throws IOException {
        try (InputStream in = open(RESOURCE)) {
            if (in != null) {
                resource.load(in);
            }
        }
        String folder = get("folder", "");
        config = Config.builder().url(get("url", "")).service(get("service", ""))
                .trusted(trusted(get("trusted", "trusted.json")))
                .store(folder.isEmpty() ? Store.memory() : Store.dir(path(folder))).build();
    }

    static Settings load() {
        try {
            return new Settings();
        } catch (IOException e) {
            throw new UncheckedIOException(RESOURCE, e);
        }
    }

    /** Looks where the thread does, and where this class is: a thread of a pool may know neither. */
    private InputStream open(String name) {
        for (ClassLoader classes : Arrays.asList(Thread.currentThread().getContextClassLoader(),
                Settings.class.getClassLoader())) {
            InputStream in = classes == null ? null : classes.getResourceAsStream(name);
            if (in != null) {
                return in;
            }
        }
        missing.add(name);
        return null;
    }

    private String get(String name, String otherwise) {
        return System.getProperty(SYSTEM_PREFIX + name, resource.getProperty(name, otherwise)).strip();
    }

    private static Path path(String folder) {
        boolean isOfUser = folder.startsWith("~/");
        return isOfUser ? Path.of(System.getProperty("user.home"), folder.substring(2)) : Path.of(folder);
    }

    private byte[] trusted(String name) throws IOException {
        try (InputStream in = open(name)) {
            return in == null ? new byte[0] : in.readAllBytes();
        }
    }
}
