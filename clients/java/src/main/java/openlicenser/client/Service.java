package openlicenser.client;

/** Service is a product, module or feature that the vendor sells. */
public final class Service {
    private final String name;
    private final String value;

    Service(String name, String value) {
        this.name = name;
        this.value = value;
    }

    /** {@return the name, for people} */
    public String name() {
        return name;
    }

    /** {@return the serviceValue, which products compare} */
    public String value() {
        return value;
    }

    @Override
    public String toString() {
        return value;
    }
}
