package openlicenser.client;

import java.time.DateTimeException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Devices are those that hold the seats of a license. */
public final class Devices {
    private final int limit;
    private final List<Device> list;

    private Devices(int limit, List<Device> list) {
        this.limit = limit;
        this.list = List.copyOf(list);
    }

    static Devices read(byte[] body, String ownId) throws Json.MalformedException {
        Map<String, Object> said = Json.readObject(body);
        Object limit = said.get("limit");
        if (limit != null && !(limit instanceof Long)) {
            throw new Json.MalformedException("limit is no number");
        }
        List<Device> list = new ArrayList<>();
        for (Object member : Json.list(said.get("devices"))) {
            Map<String, Object> device = Json.object(member);
            String id = Json.text(device, "id");
            try {
                list.add(new Device(id, Json.text(device, "name"), Times.read(Json.text(device, "since")),
                        Times.read(Json.text(device, "until")), id.equals(ownId)));
            } catch (DateTimeException e) {
                throw new Json.MalformedException("since or until is no time");
            }
        }
        return new Devices(limit == null ? 0 : Math.toIntExact((Long) limit), list);
    }

    /** {@return how many may hold a seat at the same time; 0 for as many as like} */
    public int limit() {
        return limit;
    }

    /** {@return those that hold one, oldest first} */
    public List<Device> list() {
        return list;
    }
}
