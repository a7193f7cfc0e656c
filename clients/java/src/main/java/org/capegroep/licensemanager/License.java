package org.capegroep.licensemanager;

import java.util.ArrayList;
import java.util.Date;
import java.util.stream.Collectors;
import openlicenser.client.Service;

/** License is what a token says of its license. */
public class License {
    private static final long LAST_SECOND = Long.MAX_VALUE / 1000;

    private final openlicenser.client.License license;
    private final String token;

    License(openlicenser.client.License license, String token) {
        this.license = license;
        this.token = token;
    }

    String token() {
        return token;
    }

    boolean allowsHost(String host) {
        return license.allowsHost(host);
    }

    /** {@return the application URLs} */
    public ArrayList<String> getAppUrls() {
        return new ArrayList<>(license.appUrls());
    }

    /** {@return the serviceValue of each service} */
    public ArrayList<String> getServices() {
        return license.services().stream().map(Service::value).collect(Collectors.toCollection(ArrayList::new));
    }

    /** {@return the name of the customer} */
    public String getCustomerName() {
        return license.customerName();
    }

    /** {@return the end of the license, without days of grace} */
    public Date getLicenseExpirationDate() {
        return new Date(1000 * Math.min(license.expires().getEpochSecond(), LAST_SECOND));
    }
}
