package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.math.BigInteger;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.security.interfaces.RSAPublicKey;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Forms that the client reads and writes: JSON, keys, dates, hosts, fingerprints. */
class FormsTest {
    @ParameterizedTest
    @ValueSource(strings = {"", " ", "{", "{}x", "{} {}", "{'a':1}", "{a:1}", "{\"a\":1,}", "[1,]", "[,1]", "{\"a\"}",
        "01", "+1", "1.", ".5", "1e", "-", "NaN", "nul", "truex", "\"a", "\"\t\"", "\"\\x\"", "\"\\u12\"",
        "\"\\u00g0\"", "/* */1", "[1 2]", "{\"a\":1 \"b\":2}", "\u00a01"})
    void noJson(String text) {
        assertThrows(Json.MalformedException.class, () -> Json.read(text));
        assertThrows(Json.MalformedException.class, () -> Json.read("[".repeat(100_000)));
    }

    @Test
    void json() throws Json.MalformedException {
        Map<String, Object> object = Json.object(Json.read(" {\"a\":[1,-0,1.0,1e3,9223372036854775808],"
                + "\"b\":\"\\u00e9\\\"\\n\uD83D\uDE00\",\"c\":null,\"a2\":true} "));
        assertEquals(Arrays.asList(1L, 0L, 1.0, 1000.0, 9223372036854775808.0), object.get("a"));
        assertEquals("é\"\n\uD83D\uDE00", object.get("b"));
        assertTrue(object.containsKey("c"));
        assertEquals(Map.of("a", 2L), Json.read("{\"a\":1,\"a\":2}"));
        String written = Json.write(Map.of("a", "é\"\\\n\uD83D\uDE00\u2028"));
        assertEquals("{\"a\":\"\\u00e9\\\"\\\\\\u000a\\ud83d\\ude00\\u2028\"}", written);
        assertEquals(Map.of("a", "é\"\\\n\uD83D\uDE00\u2028"), Json.read(written));
    }

    @Test
    void keysAsPemAndAsASet() throws Exception {
        PublicKey key = TestTokens.PUBLIC;
        String pem = pem(key.key.getEncoded());
        KeyPairGenerator other = KeyPairGenerator.getInstance("EC");
        String both = pem(other.generateKeyPair().getPublic().getEncoded()) + pem;
        for (String text : List.of(TestTokens.keySet(), pem, both, pem.replace("\n", "\r\n"))) {
            List<PublicKey> read = PublicKeys.read(Hashes.utf8(text));
            assertEquals(List.of(key.kid), read.stream().map(k -> k.kid).collect(Collectors.toList()));
            assertEquals(key.key.getModulus(), read.get(0).key.getModulus());
        }
        String mark = "\uFEFF";
        for (String text : List.of(mark + TestTokens.keySet(), mark + pem, pem("no key".getBytes()) + pem)) {
            assertEquals(key.kid, PublicKeys.read(Hashes.utf8(text)).get(0).kid);
        }
        for (Charset utf16 : List.of(StandardCharsets.UTF_16, StandardCharsets.UTF_16LE, StandardCharsets.UTF_16BE)) {
            String problem = assertThrows(PublicKeys.UnusableException.class,
                    () -> PublicKeys.read(TestTokens.keySet().getBytes(utf16))).getMessage();
            assertTrue(problem.contains("UTF-16"), problem);
        }
        KeyPairGenerator weak = KeyPairGenerator.getInstance("RSA");
        weak.initialize(1024);
        String tooWeak = pem(weak.generateKeyPair().getPublic().getEncoded());
        for (String text : List.of("", "{}", "{\"keys\":[]}", tooWeak, pem("no key".getBytes()), "{\"keys\":["
                + "{},".repeat(100) + "{}]}")) {
            assertThrows(PublicKeys.UnusableException.class, () -> PublicKeys.read(Hashes.utf8(text)), text);
        }
    }

    @Test
    void anEvenExponentIsNoKey() {
        RSAPublicKey even = (RSAPublicKey) Proxy.newProxyInstance(getClass().getClassLoader(),
                new Class<?>[] {RSAPublicKey.class}, (proxy, method, arguments) ->
                        method.getName().equals("getPublicExponent") ? BigInteger.valueOf(65_538)
                                : method.invoke(TestTokens.PUBLIC.key, arguments));
        assertTrue(PublicKey.of("x", TestTokens.PUBLIC.key).isPresent());
        assertTrue(PublicKey.of("x", even).isEmpty());
    }

    @Test
    void aCodeOfTheServiceIsInCapitals() {
        assertEquals("LICENSE_X2", Answer.codeOf(Hashes.utf8("{\"error\":\"LICENSE_X2\"}")));
        for (String no : List.of("LICENSE_\\n", "LICENSE_x", "LICENSE_ X", "L".repeat(65), "")) {
            assertEquals("", Answer.codeOf(Hashes.utf8("{\"error\":\"" + no + "\"}")), no);
        }
    }

    private static String pem(byte[] der) {
        String base64 = Base64.getMimeEncoder().encodeToString(der);
        return "-----BEGIN PUBLIC KEY-----\n" + base64 + "\n-----END PUBLIC KEY-----\n";
    }

    @Test
    void httpDates() {
        String want = "1994-11-06T08:49:37Z";
        for (String text : List.of("Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994")) {
            assertEquals(Times.read(want), Times.readHttp(text), text);
        }
        assertEquals(Times.read("2027-11-06T08:49:37Z"), Times.readHttp("Saturday, 06-Nov-27 08:49:37 GMT"));
        assertEquals(Times.ZERO, Times.readHttp("yesterday"));
    }

    @Test
    void aPatternThatNeverEndsAllowsNothing() {
        String host = "a".repeat(250);
        assertTimeoutPreemptively(Duration.ofSeconds(10), () -> {
            assertFalse(Hosts.allow(List.of("re:^(a+)+$"), host + "!"));
            assertFalse(Hosts.allow(List.of("re:^a*a*a*a*a*a*a*b$"), host));
            assertFalse(Hosts.allow(List.of("re:^(a|b|c|d)*$"), host.repeat(1000)));
            assertFalse(Hosts.allow(List.of("re:" + "(".repeat(100_000)), host));
        });
        assertTrue(Hosts.allow(List.of("re:^a+$"), host));
    }

    @Test
    void noHostEndsWithALineBreak() {
        for (String end : List.of("\n", "\r", "\u0085", "\u2028", "\u2029")) {
            assertFalse(Hosts.allow(List.of("re:^app\\.example\\.com$"), "app.example.com" + end), end);
        }
        assertFalse(Hosts.allow(List.of("re:.*"), null));
    }

    @Test
    void noUrlAndNoHostThrows() {
        Random random = new Random(1);
        String letters = "ae.:/[]@?#*\\()+^$re\u2028é ";
        int allowed = 0;
        for (int i = 0; i < 20_000; i++) {
            String url = random(random, letters);
            String host = random(random, letters);
            allowed += Hosts.allow(List.of(url, "re:" + url, "https://" + url), host) ? 1 : 0;
        }
        assertTrue(allowed > 100, "allowed " + allowed);
    }

    private static String random(Random random, String letters) {
        StringBuilder text = new StringBuilder();
        for (int n = random.nextInt(8); n > 0; n--) {
            text.append(letters.charAt(random.nextInt(letters.length())));
        }
        return text.toString();
    }

    @Test
    void aFingerprintIsTheOneOfTheGoClient() {
        assertEquals("62a3caa9f00cd75d0f171a80ca69a9157e238952c56ff678bf9f8ab63e2cd243",
                Fingerprints.from("machine", "app"));
        assertNotEquals(Fingerprints.from("machine", "app"), Fingerprints.from("machine", "other"));
        assertEquals("", Fingerprints.from("", "app"));
        assertEquals(Fingerprints.of("app"), Fingerprints.of("app"));
    }

    @Test
    void theVersionIsTheOneOfThePackage() throws IOException {
        String pom = Files.readString(Path.of("pom.xml"));
        String own = pom.substring(pom.indexOf("<artifactId>open-licenser-client"), pom.indexOf("<dependencies>"));
        assertTrue(own.contains("<version>" + LicenseClient.VERSION + "</version>"), own);
    }

    @Test
    void processesThatMakeAnIdAtOnceHaveTheSameOne(@TempDir Path folder) {
        Path inside = folder.resolve("new");
        Set<Optional<String>> ids = ConcurrentHashMap.newKeySet();
        IntStream.range(0, 16).parallel().forEach(i -> ids.add(Fingerprints.installationId(inside, "app")));
        assertEquals(1, ids.size(), ids::toString);
        assertEquals(26, ids.iterator().next().orElseThrow().length());
        assertNotEquals(ids.iterator().next(), Fingerprints.installationId(inside, "other"));
        assertEquals(2, inside.toFile().list().length);
    }

    @Test
    void theConfigurationFolderIsTheOneOfGo() {
        assumeTrue(System.getProperty("os.name").equals("Linux"));
        Map<String, String> both = Map.of("XDG_CONFIG_HOME", "/x", "HOME", "/h");
        assertEquals(Optional.of(Path.of("/x")), Fingerprints.configFolder(both));
        assertEquals(Optional.of(Path.of("/h/.config")), Fingerprints.configFolder(Map.of("HOME", "/h")));
        assertEquals(Optional.empty(), Fingerprints.configFolder(Map.of("XDG_CONFIG_HOME", "x", "HOME", "/h")));
        assertEquals(Optional.empty(), Fingerprints.configFolder(Map.of()));
    }
}
