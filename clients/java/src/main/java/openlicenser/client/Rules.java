package openlicenser.client;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * Rules are what the client goes by while it has one license key. They know no clock, disk or network: they make of
 * what is known, and of what has happened at a moment, what is known then.
 */
final class Rules {
    static final Duration DEFAULT_REFRESH = Duration.ofHours(24);
    static final Duration DEFAULT_SKEW = Duration.ofMinutes(5);

    private static final Duration MAX_CLOCK_BACK = Duration.ofHours(24);
    /** Longer ones would overflow, and are as good as none. */
    private static final Duration MAX_SETTING = Duration.ofDays(36_500);

    /** Clean; empty for none. */
    final String key;
    final String licenseId;
    final String fingerprint;
    final String deviceName;
    final String service;
    final Duration skew;
    private final Instant released;
    private final Duration refresh;
    /** Zero for no limit but the token's. */
    private final Duration offline;
    private final boolean firstUse;
    private final List<PublicKey> trusted;

    /** Takes a configuration that was checked, and its keys. */
    Rules(Config c, List<PublicKey> trusted) {
        this(c.key, c.fingerprint, c.deviceName, c.service, setting(c.skew, DEFAULT_SKEW), c.released,
                Pauses.longer(setting(c.refresh, DEFAULT_REFRESH), Pauses.MIN_REFRESH),
                setting(c.offline, Duration.ZERO), c.trustOnFirstUse, trusted);
    }

    private Rules(String pasted, String fingerprint, String deviceName, String service, Duration skew,
            Instant released, Duration refresh, Duration offline, boolean firstUse, List<PublicKey> trusted) {
        this.key = LicenseKeys.clean(pasted);
        this.licenseId = LicenseKeys.licenseId(key);
        this.fingerprint = fingerprint;
        this.deviceName = deviceName;
        this.service = service;
        this.skew = skew;
        this.released = released;
        this.refresh = refresh;
        this.offline = offline;
        this.firstUse = firstUse;
        this.trusted = trusted;
    }

    private static Duration setting(Duration set, Duration otherwise) {
        return set.isZero() ? otherwise : Pauses.shorter(set, MAX_SETTING);
    }

    Rules withKey(String pasted) {
        return new Rules(pasted, fingerprint, deviceName, service, skew, released, refresh, offline, firstUse, trusted);
    }

    /** Returns the keys that tokens are checked with. The fetched ones count only where the product says so. */
    private List<PublicKey> keys(Knowledge k) {
        List<PublicKey> keys = new ArrayList<>(trusted);
        if (firstUse) {
            keys.addAll(k.stored.keys);
        }
        return keys;
    }

    /** Checks whether a token is genuine, and for this license and this device. */
    private Grant readToken(Knowledge k, String token) {
        Grant grant = Tokens.read(token, keys(k));
        String device = grant.license.device();
        if (licenseId.isEmpty() || !grant.license.id().equalsIgnoreCase(licenseId)) {
            throw new TokenException("the token is for another license");
        }
        if (!device.isEmpty() && !device.equals(Hashes.deviceId(grant.license.id(), fingerprint))) {
            throw new TokenException("the token is for another device");
        }
        return grant;
    }

    /** Returns what a stored record is worth at a start. What cannot be used is as if it were not there. */
    Knowledge started(Stored stored, Instant mark, Instant now, double random) {
        Knowledge k = new Knowledge();
        String hash = Hashes.ofKey(key);
        k.stored = stored.key.equals(hash) ? stored : Stored.nothing(hash, Times.ZERO, List.of());
        k.mark = mark;
        if (!k.stored.token.isEmpty()) {
            try {
                k.grant = readToken(k, k.stored.token);
            } catch (TokenException e) {
                k.stored = k.stored.withoutToken();
                k.error = e;
            }
        }
        if (!key.isEmpty()) {
            boolean isGood = k.grant != null && k.grant.fits(now, skew) && !k.stored.checked.isAfter(now);
            k.due = isGood ? refreshAt(k, k.stored.checked, random) : now;
        }
        return seen(k, now);
    }

    /**
     * Returns what is known with a newer record of another process. One whose token is of no use here, as that of
     * another device, changes nothing. After a seat was given back nobody is asked by itself.
     */
    Knowledge adopted(Knowledge before, Stored stored, Instant now, double random) {
        Stored usable = stored.keys.isEmpty() ? stored.withKeys(before.stored.keys) : stored;
        Knowledge k = started(usable, before.mark, now, random);
        if (!stored.token.isEmpty() && stored.refused.isEmpty() && k.grant == null) {
            return before;
        }
        k.fetched = before.fetched;
        if (stored.isGivenBack()) {
            k.due = Times.ZERO;
        }
        return k;
    }

    /** Moves the mark to a later time. Where the next attempt lies further ahead than any can, a clock was set back. */
    Knowledge seen(Knowledge before, Instant now) {
        Knowledge k = before.copy();
        if (now.isAfter(k.mark)) {
            k.mark = now;
        }
        Duration longest = Pauses.longer(refresh, Pauses.LONGEST);
        if (k.due.isAfter(now.plus(longest).plus(longest.dividedBy(10)))) {
            k.due = now;
        }
        return k;
    }

    /** Reports whether the answer can be read once the keys are fetched: not within a minute of the last time. */
    boolean needsKeys(Knowledge k, Answer answer, Instant now) {
        boolean isTooSoon = !now.isBefore(k.fetched) && now.isBefore(k.fetched.plus(Pauses.KEYS));
        if (answer.token.isEmpty() || !firstUse || isTooSoon) { // a clock that was set back ends the wait
            return false;
        }
        try {
            readToken(k, answer.token);
            return false;
        } catch (TokenException e) {
            return e.isOfUnknownKey();
        }
    }

    /** Returns what is known after the keys were asked for, whatever came of it. */
    Knowledge keysTried(Knowledge before, Instant now) {
        Knowledge k = before.copy();
        k.fetched = now;
        return k;
    }

    /** Returns what is known with keys that the service has sent. The key of the stored token stays with it. */
    Knowledge keysFetched(Knowledge before, List<PublicKey> fetched) {
        Knowledge k = before.copy();
        List<PublicKey> keys = new ArrayList<>(fetched);
        if (k.grant != null && PublicKeys.withKid(keys, k.grant.kid).isEmpty()) {
            keys.addAll(PublicKeys.withKid(k.stored.keys, k.grant.kid));
        }
        k.stored = k.stored.withKeys(keys);
        return k;
    }

    /** Returns what is known after an answer to what was asked at a time. */
    Knowledge answered(Knowledge before, Answer answer, Instant asked, Instant now, double random) {
        Knowledge k = seen(before, now);
        if (!answer.refused.isEmpty()) {
            k.stored = Stored.refused(k.stored, asked, now, answer.refused);
            k.grant = null;
            k.error = null;
            k.failures = 0;
            k.due = now.plus(Pauses.jitter(Pauses.shorter(refresh, Pauses.REFUSED), random));
            return k;
        }
        if (answer.error != null) {
            return failed(k, answer.error, answer.retryAfter, now, random);
        }
        try {
            Grant grant = readToken(k, answer.token);
            grant.requireFits(now, skew);
            grant(k, answer.token, grant, asked, now, random);
        } catch (LicenseException e) {
            return failed(k, e, answer.retryAfter, now, random);
        }
        boolean isDated = !answer.date.equals(Times.ZERO) && !k.grant.issued.isAfter(answer.date.plus(skew))
                && answer.date.isBefore(k.grant.expires);
        if (isDated) { // else something on the way has a wrong clock
            k.mark = answer.date;
        }
        return seen(k, now);
    }

    private void grant(Knowledge k, String token, Grant grant, Instant asked, Instant now, double random) {
        k.stored = Stored.granted(k.stored, asked, now, Tokens.trim(token));
        k.grant = grant;
        k.error = null;
        k.failures = 0;
        k.due = refreshAt(k, now, random);
    }

    /** Returns what is known after an attempt that says nothing about the license. */
    private static Knowledge failed(Knowledge k, Exception error, Duration retryAfter, Instant now, double random) {
        k.error = error;
        k.failures++;
        Duration asSaid = retryAfter.plus(Pauses.part(retryAfter.dividedBy(10), random));
        k.due = now.plus(Pauses.longer(Pauses.backOff(k.failures, random), asSaid));
        return k;
    }

    /** Returns when the service is asked after an answer: at half of the token's remaining life at the latest. */
    private Instant refreshAt(Knowledge k, Instant answeredAt, double random) {
        Duration half = Duration.between(answeredAt, k.grant.expires).dividedBy(2);
        return answeredAt.plus(
                Pauses.shorter(Pauses.jitter(refresh, random), Pauses.longer(half, Pauses.MIN_REFRESH)));
    }

    /** Returns what is known with the token of a license file, or throws why it is not good. */
    Knowledge imported(Knowledge before, String token, Instant now, double random) {
        Knowledge k = seen(before, now);
        Grant grant = readToken(k, token);
        grant.requireFits(now, skew);
        if (!k.stored.refused.isEmpty() && !grant.issued.isAfter(k.stored.checked)) {
            throw new Refusal(k.stored.refused);
        }
        grant(k, token, grant, now, now, random);
        return k;
    }

    /**
     * Returns what is known after this computer's seat was given back. The service is not asked by itself then. A
     * definite no stays, so that an older license file is still refused.
     */
    Knowledge released(Knowledge before, Instant asked) {
        Knowledge k = before.copy();
        if (!k.stored.refused.isEmpty()) {
            k.due = Times.ZERO;
            return k;
        }
        k.stored = Stored.nothing(k.stored.key, asked, k.stored.keys);
        k.grant = null;
        k.error = null;
        k.failures = 0;
        k.due = Times.ZERO;
        return k;
    }

    /** Returns what is known, as the product sees it at a moment. */
    State state(Knowledge k, Instant now) {
        if (!k.stored.refused.isEmpty()) {
            return new State(Status.REFUSED, k.stored.refused, License.NONE, Times.ZERO, k);
        }
        if (k.grant == null) {
            return new State(Status.UNKNOWN, "", License.NONE, Times.ZERO, k);
        }
        License license = k.grant.license;
        Instant usableUntil = usableUntil(k);
        String reason = "";
        if (!service.isEmpty() && !license.allows(service)) {
            reason = Code.SERVICE_NOT_LICENSED;
        } else if (license.updatesUntil().filter(released::isAfter).isPresent()) {
            reason = Code.UPDATES_ENDED;
        }
        Status status = reason.isEmpty() ? status(k, usableUntil, now) : Status.REFUSED;
        return new State(status, reason, license, usableUntil, k);
    }

    private Status status(Knowledge k, Instant usableUntil, Instant now) {
        if (now.plus(MAX_CLOCK_BACK).isBefore(k.mark) || k.grant.from.isAfter(now.plus(skew))) {
            return Status.CLOCK_BACK;
        }
        if (!now.isBefore(usableUntil)) {
            return Status.OFFLINE_TOO_LONG;
        }
        if (!now.isBefore(k.grant.license.expires())) {
            return Status.GRACE;
        }
        return k.failures > 0 ? Status.OFFLINE : Status.ACTIVE;
    }

    private Instant usableUntil(Knowledge k) {
        Instant until = k.grant.expires;
        return offline.isZero() ? until : Times.earlier(until, k.stored.checked.plus(offline));
    }
}
