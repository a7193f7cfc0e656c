package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** License files, seats of devices, and tokens that backends read. */
class FilesAndDevicesTest {
    private static final String FINGERPRINT = "this computer";
    private static final String TIMES =
            "\"since\":\"2027-01-01T00:00:00.000Z\",\"until\":\"2027-02-01T00:00:00.000Z\"}";

    private final TestClock clock = new TestClock();
    private final FakeService service = new FakeService(clock);

    private LicenseClient open() {
        return LicenseClient.openWithoutThread(Config.builder().url("https://licenses.example.com")
                .key(TestTokens.licenseKey(TestTokens.LICENSE)).trusted(TestTokens.keySet()).service("reports")
                .fingerprint(FINGERPRINT).store(Store.memory()).http(service).build(), clock);
    }

    @Test
    void aLicenseFile(@TempDir Path folder) throws IOException {
        service.says(FakeService.UNREACHABLE);
        LicenseClient client = open();
        Path file = folder.resolve("license.lic");
        String good = TestTokens.of(clock.instant().minusSeconds(3600)).sign();
        Map<String, Class<? extends Exception>> bad = Map.of(
                "", TokenException.class,
                good.substring(0, good.length() - 8) + "AAAAAAAA", TokenException.class,
                TestTokens.of(clock.instant()).with("licenseid", "another").sign(), TokenException.class,
                TestTokens.of(clock.instant()).until(clock.instant()).sign(), ClockException.class,
                "x".repeat(LicenseClient.MAX_LICENSE_FILE + 1), IOException.class);
        for (Map.Entry<String, Class<? extends Exception>> entry : bad.entrySet()) {
            Files.writeString(file, entry.getKey());
            assertThrows(entry.getValue(), () -> client.importFile(file));
            assertEquals(Status.UNKNOWN, client.state().status());
        }
        assertThrows(IOException.class, () -> client.importFile(folder.resolve("none")));
        Files.writeString(file, "\uFEFF" + good + "\r\n");
        assertEquals(Status.ACTIVE, client.importFile(file).status());
        assertEquals(Optional.of(good), client.token());
        service.says(FakeService.refuses(Code.LICENSE_REVOKED));
        client.refresh();
        assertThrows(Refusal.class, () -> client.importFile(file));
        assertEquals(Status.REFUSED, client.state().status());
        clock.move(Duration.ofMinutes(6)); // iat lies five minutes before the signing
        Files.writeString(file, TestTokens.of(clock.instant()).sign());
        assertEquals(Status.ACTIVE, client.importFile(file).status());
        client.close();
    }

    @Test
    void seatsAreListedAndGivenBack() throws IOException {
        LicenseClient client = open();
        String own = Hashes.deviceId(TestTokens.LICENSE, FINGERPRINT);
        service.says((path, question) -> {
            if (path.equals("/list-devices")) {
                return new FakeService.Said(200, "{\"limit\":2,\"devices\":[{\"id\":\"other\",\"name\":\"front desk\","
                        + TIMES + ",{\"id\":\"" + own + "\",\"name\":\"\"," + TIMES + "]}");
            }
            if ("other".equals(question.get("device"))) {
                return new FakeService.Said(400, "{\"error\":\"RELEASE_LIMIT_REACHED\"}");
            }
            return new FakeService.Said(FINGERPRINT.equals(question.get("fingerprint")) ? 204 : 500, "");
        });
        Devices devices = client.devices();
        assertEquals(2, devices.limit());
        assertEquals(List.of("other", own), List.of(devices.list().get(0).id(), devices.list().get(1).id()));
        assertEquals("front desk", devices.list().get(0).name());
        assertFalse(devices.list().get(0).isThis());
        assertTrue(devices.list().get(1).isThis());
        assertEquals(Times.read("2027-02-01T00:00:00Z"), devices.list().get(0).until());
        Refusal refusal = assertThrows(Refusal.class, () -> client.release("other"));
        assertEquals(Code.RELEASE_LIMIT_REACHED, refusal.code());
        assertTrue(refusal.getMessage().contains("seats"), refusal::getMessage);
        assertEquals(Status.ACTIVE, client.state().status());
        assertThrows(ServerException.class, () -> client.release("a third one"));
        for (String none : new String[] {"", null}) {
            client.release(none);
        }
        client.release();
        assertEquals(Status.UNKNOWN, client.state().status());
        assertEquals(Optional.empty(), client.state().retryAt());
        client.close();
    }

    @Test
    void aRefusalStaysWhenTheSeatIsGivenBack(@TempDir Path folder) throws IOException {
        LicenseClient client = open();
        Path file = Files.writeString(folder.resolve("license.lic"), client.token().orElseThrow());
        service.says((path, question) -> path.equals("/release-device") ? new FakeService.Said(204, "")
                : new FakeService.Said(400, "{\"error\":\"LICENSE_REVOKED\"}"));
        client.refresh();
        client.release();
        assertEquals(Code.LICENSE_REVOKED, client.state().reason());
        assertEquals(Optional.empty(), client.state().retryAt());
        assertThrows(Refusal.class, () -> client.importFile(file));
        client.close();
    }

    @Test
    void devicesThatCannotBeRead() {
        LicenseClient client = open();
        for (String body : List.of("", "[]", "{}", "{\"devices\":null}", "{\"limit\":1.5,\"devices\":[]}",
                "{\"limit\":99999999999,\"devices\":[]}", "{\"devices\":[{\"id\":\"x\",\"since\":\"now\"}]}")) {
            service.says((path, question) -> new FakeService.Said(200, body));
            assertEquals(200, assertThrows(ServerException.class, client::devices, body).status());
        }
        service.says(FakeService.refuses(Code.INVALID_LICENSE));
        assertThrows(Refusal.class, client::devices);
        service.says(FakeService.UNREACHABLE);
        assertThrows(IOException.class, client::devices);
        client.close();
    }

    @Test
    void otherProcessesHearThatTheSeatWasGivenBack() throws IOException {
        Store store = Store.memory();
        Config config = Config.builder().url("https://licenses.example.com").trusted(TestTokens.keySet())
                .key(TestTokens.licenseKey(TestTokens.LICENSE)).fingerprint(FINGERPRINT).store(store).http(service)
                .build();
        LicenseClient a = LicenseClient.openWithoutThread(config, clock);
        LicenseClient b = LicenseClient.openWithoutThread(config, clock);
        clock.move(Duration.ofSeconds(1));
        service.says((path, question) -> path.equals("/release-device") ? new FakeService.Said(204, "") : null);
        a.release("");
        int times = service.times();
        clock.sleep(Duration.ofDays(2), b);
        assertEquals(Status.UNKNOWN, b.state().status());
        assertEquals(Optional.empty(), b.state().retryAt());
        assertEquals(times, service.times());
        a.close();
        b.close();
    }

    @Test
    void aBackendReadsTokens() {
        String token = TestTokens.of(clock.instant()).with("updatesuntil", "2028-01-01T00:00:00.000+01:00").sign();
        License license = License.read(token, List.of(TestTokens.PUBLIC), clock);
        assertEquals(TestTokens.LICENSE, license.id());
        assertTrue(license.allows("reports"));
        assertTrue(license.allowsHost("app.example.com"));
        assertEquals(Optional.of(Times.read("2027-12-31T23:00:00Z")), license.updatesUntil());
        clock.move(Duration.ofDays(90));
        assertThrows(ClockException.class, () -> License.read(token, List.of(TestTokens.PUBLIC), clock));
        assertThrows(TokenException.class, () -> License.read("x.y.z", TestTokens.keySet()));
        assertThrows(IllegalArgumentException.class, () -> License.read(token, "no keys"));
    }
}
