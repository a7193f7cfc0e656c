package openlicenser.client;

import java.net.http.HttpClient;
import java.time.Duration;
import java.time.Instant;
import java.util.Objects;

/** Config says which license a product has, and how it goes by it. It never changes. */
public final class Config {
    final String url;
    final String key;
    final byte[] trusted;
    final boolean trustOnFirstUse;
    final String service;
    final Instant released;
    final String fingerprint;
    final String deviceName;
    final Store store;
    final Duration refresh;
    final Duration offline;
    final Duration skew;
    final HttpClient http;
    final System.Logger log;

    private Config(Builder b) {
        url = b.url;
        key = b.key;
        trusted = b.trusted;
        trustOnFirstUse = b.trustOnFirstUse;
        service = b.service;
        released = b.released;
        fingerprint = b.fingerprint;
        deviceName = b.deviceName;
        store = b.store;
        refresh = b.refresh;
        offline = b.offline;
        skew = b.skew;
        http = b.http;
        log = b.log;
    }

    /** {@return a builder in which nothing is set} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return a builder that has what this configuration has} */
    public Builder toBuilder() {
        return new Builder().url(url).key(key).trusted(trusted).trustOnFirstUse(trustOnFirstUse).service(service)
                .released(released.equals(Times.ZERO) ? null : released).fingerprint(fingerprint)
                .deviceName(deviceName).store(store).refresh(refresh).offline(offline).skew(skew).http(http).log(log);
    }

    /** {@return the serviceValue that the product is; empty for none} */
    public String service() {
        return service;
    }

    /** {@return the public keys that the product brings; empty for none} */
    public byte[] trusted() {
        return trusted.clone();
    }

    /** {@return what gets the log; null for nobody} */
    public System.Logger log() {
        return log;
    }

    /** Builder collects a configuration. A null is as if it were not set. */
    public static final class Builder {
        private String url = "";
        private String key = "";
        private byte[] trusted = {};
        private boolean trustOnFirstUse;
        private String service = "";
        private Instant released = Times.ZERO;
        private String fingerprint = "";
        private String deviceName = "";
        private Store store;
        private Duration refresh = Duration.ZERO;
        private Duration offline = Duration.ZERO;
        private Duration skew = Duration.ZERO;
        private HttpClient http;
        private System.Logger log;

        private Builder() {
        }

        /**
         * Sets the URL of the service. Required.
         *
         * @param base as https://licenses.example.com; a /verify-license at its end does not count
         * @return this
         */
        public Builder url(String base) {
            url = Objects.requireNonNullElse(base, "");
            return this;
        }

        /**
         * Sets the license key. Without one nobody is asked, and the status is UNKNOWN until
         * {@link LicenseClient#setKey}.
         *
         * @param pasted as the customer has pasted it, long or short
         * @return this
         */
        public Builder key(String pasted) {
            key = Objects.requireNonNullElse(pasted, "");
            return this;
        }

        /**
         * Sets the public keys that the product brings. Required, unless {@link #trustOnFirstUse} is set.
         *
         * @param keys a JWK set or PEM, as licenser token-key export writes it
         * @return this
         */
        public Builder trusted(byte[] keys) {
            trusted = keys == null ? new byte[0] : keys.clone();
            return this;
        }

        /**
         * Sets the public keys that the product brings, as {@link #trusted(byte[])}.
         *
         * @param keys a JWK set or PEM
         * @return this
         */
        public Builder trusted(String keys) {
            trusted = keys == null ? new byte[0] : Hashes.utf8(keys);
            return this;
        }

        /**
         * Says that keys may be fetched from the service, and then are kept. A token of an unknown key has them fetched
         * anew. Whoever rules the first connection rules the product. A product whose license is worth a forgery brings
         * its keys instead.
         *
         * @param may whether they may
         * @return this
         */
        public Builder trustOnFirstUse(boolean may) {
            trustOnFirstUse = may;
            return this;
        }

        /**
         * Sets the service that the product is. A license without it is a refusal. All products of a vendor share the
         * keys, so without it any license of theirs will do.
         *
         * @param value the serviceValue, or nothing where the vendor sells one product only
         * @return this
         */
        public Builder service(String value) {
            service = Objects.requireNonNullElse(value, "");
            return this;
        }

        /**
         * Sets when this version of the product was released. A license whose updates ended before is a refusal.
         *
         * @param at the moment
         * @return this
         */
        public Builder released(Instant at) {
            released = Objects.requireNonNullElse(at, Times.ZERO);
            return this;
        }

        /**
         * Sets what tells this computer from others. Licenses with devices need it.
         *
         * @param text 8 to 256 printable ASCII characters: see {@link Fingerprints#of}
         * @return this
         */
        public Builder fingerprint(String text) {
            fingerprint = Objects.requireNonNullElse(text, "");
            return this;
        }

        /**
         * Sets what the customer sees of this computer in lists of devices.
         *
         * @param name up to 32 bytes of UTF-8
         * @return this
         */
        public Builder deviceName(String name) {
            deviceName = Objects.requireNonNullElse(name, "");
            return this;
        }

        /**
         * Sets what keeps the answers. Required.
         *
         * @param keeper {@link Store#dir}, {@link Store#memory}, or the product's own
         * @return this
         */
        public Builder store(Store keeper) {
            store = keeper;
            return this;
        }

        /**
         * Sets how long after an answer the service is asked again, give or take a tenth. However long it is, the
         * service is asked at half of a token's remaining life.
         *
         * @param pause 24 hours unless set, and a minute at least
         * @return this
         */
        public Builder refresh(Duration pause) {
            refresh = Objects.requireNonNullElse(pause, Duration.ZERO);
            return this;
        }

        /**
         * Sets for how long the product runs without an answer.
         *
         * @param limit as long as its token is valid unless set
         * @return this
         */
        public Builder offline(Duration limit) {
            offline = Objects.requireNonNullElse(limit, Duration.ZERO);
            return this;
        }

        /**
         * Sets how far this computer's clock may be behind the service's.
         *
         * @param leeway five minutes unless set
         * @return this
         */
        public Builder skew(Duration leeway) {
            skew = Objects.requireNonNullElse(leeway, Duration.ZERO);
            return this;
        }

        /**
         * Sets what sends the requests. Unless set, proxies are those of the system properties, or else of the
         * environment. A request has 15 seconds either way.
         *
         * @param client one that follows no redirects
         * @return this
         */
        public Builder http(HttpClient client) {
            http = client;
            return this;
        }

        /**
         * Sets what gets the log of what went wrong. Unless set, nobody does. It never gets the license key or the
         * token.
         *
         * @param logger that of the product
         * @return this
         */
        public Builder log(System.Logger logger) {
            log = logger;
            return this;
        }

        /** {@return the configuration, which {@link LicenseClient#open} checks} */
        public Config build() {
            return new Config(this);
        }
    }
}
