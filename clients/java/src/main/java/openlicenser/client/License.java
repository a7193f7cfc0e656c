package openlicenser.client;

import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** License is what a token says of its license. Where there is no token it is empty, and allows nothing. */
public final class License {
    static final License NONE = new License("", "", Instant.EPOCH, Times.ZERO, "", List.of(), List.of());

    private final String id;
    private final String customerName;
    private final Instant expires;
    private final Instant updatesUntil;
    private final String device;
    private final List<Service> services;
    private final List<String> appUrls;

    License(String id, String customerName, Instant expires, Instant updatesUntil, String device,
            List<Service> services, List<String> appUrls) {
        this.id = id;
        this.customerName = customerName;
        this.expires = expires;
        this.updatesUntil = updatesUntil;
        this.device = device;
        this.services = List.copyOf(services);
        this.appUrls = List.copyOf(appUrls);
    }

    /**
     * Reads the token of any license, on whatever computer: for a backend that a product sends its token to.
     *
     * @param token the token
     * @param trusted the public keys: a JWK set or PEM
     * @return what the token says
     * @throws TokenException if the token is none that one of the keys signed
     * @throws ClockException if the token has expired, or begins more than five minutes ahead
     * @throws IllegalArgumentException if there is no key in trusted that can be used
     */
    public static License read(String token, String trusted) {
        List<PublicKey> keys;
        try {
            keys = PublicKeys.read(trusted.getBytes(StandardCharsets.UTF_8));
        } catch (PublicKeys.UnusableException e) {
            throw new IllegalArgumentException("trusted: " + e.getMessage(), e);
        }
        return read(token, keys, Clock.systemUTC());
    }

    static License read(String token, List<PublicKey> keys, Clock clock) {
        Grant grant = Tokens.read(token, keys);
        Duration skew = Rules.DEFAULT_SKEW;
        grant.requireFits(clock.instant(), skew);
        return grant.license;
    }

    /** Reports whether another token says the same of the license. */
    boolean says(License other) {
        return parts().equals(other.parts());
    }

    private List<Object> parts() {
        List<Object> parts = new ArrayList<>(List.of(id, customerName, expires, updatesUntil, device, appUrls));
        services.forEach(s -> parts.addAll(List.of(s.name(), s.value())));
        return parts;
    }

    /** {@return the license's id; empty where there is no token} */
    public String id() {
        return id;
    }

    /** {@return the name of the customer; empty where the token has none} */
    public String customerName() {
        return customerName;
    }

    /** {@return the end without days of grace: far away for a license without one, and 1970 where there is no token} */
    public Instant expires() {
        return expires;
    }

    /** {@return the end of updates; empty where they have none} */
    public Optional<Instant> updatesUntil() {
        return Times.optional(updatesUntil);
    }

    /** {@return the id of this device where the license is for devices; else empty} */
    public String device() {
        return device;
    }

    /** {@return the services that the license has} */
    public List<Service> services() {
        return services;
    }

    /** {@return the application URLs that the license has, as they are} */
    public List<String> appUrls() {
        return appUrls;
    }

    /**
     * Reports whether the license has a service.
     *
     * @param service the serviceValue, with regard to case
     * @return whether it has
     */
    public boolean allows(String service) {
        return services.stream().anyMatch(s -> s.value().equals(service));
    }

    /**
     * Reports whether one of the license's application URLs allows a host, as https://app.example.com allows
     * app.example.com. A license without application URLs allows no host.
     *
     * @param host the host as browsers write it: an international name in its xn-- form, an IPv6 address in its
     *     shortest. It may have a port, which does not count
     * @return whether it is allowed
     */
    public boolean allowsHost(String host) {
        return Hosts.allow(appUrls, host);
    }
}
