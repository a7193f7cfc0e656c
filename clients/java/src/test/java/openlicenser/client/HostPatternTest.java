package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which regular expressions of hosts count, and what they mean. */
class HostPatternTest {
    private final Random random = new Random(7);

    private static boolean finds(String pattern, String text) throws HostPattern.UnreadableException {
        return HostPattern.read(pattern).isFoundIn(text);
    }

    @ParameterizedTest
    @ValueSource(strings = {"(", ")", "a)", "*a", "+", "?", "a**", "a*+", "a++", "a{2}{3}", "^*", "$+", "a{", "a{,3}",
        "a{1001}", "a{2,1}", "a{01}", "a{x}", "(?:a{100}){11}", "[", "[]", "[^]", "[a", "[]a]", "[[:alpha:]]", "[a&&b]",
        "[b-a]", "[a-\\d]", "[\\D]", "[\\s]", "\\z", "\\b", "\\A", "\\1", "\\Qa\\E", "\\p{L}", "\\x61", "\\", "(?i)a",
        "(?=a)", "(?<!a)", "(?P<n>a)", "(?<n>a)", "a{1000}{2}", "\\s", "\\ "})
    void countsForNobody(String pattern) {
        assertThrows(HostPattern.UnreadableException.class, () -> HostPattern.read(pattern), pattern);
        assertFalse(Hosts.allow(List.of("re:" + pattern), "aaaa"));
    }

    @Test
    void countsForAll() throws HostPattern.UnreadableException {
        for (String pattern : List.of("", "a|", "()", "(?:)", "^a\\.\\-\\/\\_$|b", "[a-c.\\-\\d_-]", "[^\\w]",
                "[\\w-.]", "a{0}b{2,}?c{1,3}?", "\\d\\D\\w\\W", "(a*)*", "(|a)+", "(^a|$)*", "a{1000}", "[a^]",
                "[&a]", "[-a]")) {
            for (String text : List.of("", "a", "b", "abbc", "a.-/_", "0a_.", "[", "&", "-")) {
                assertEquals(Pattern.compile(pattern).matcher(text).find(), finds(pattern, text),
                        pattern + " in " + text);
            }
        }
    }

    @Test
    void meansWhatItMeansToJava() throws HostPattern.UnreadableException {
        int found = 0;
        for (int i = 0; i < 10_000; i++) {
            // Not in groups: java.util.regex gives up on (^a*){2} in "a", which RE2 finds.
            String pattern = pick("", "^") + branches(2) + pick("", "$");
            Pattern want = Pattern.compile(pattern, Pattern.UNIX_LINES);
            for (int j = 0; j < 5; j++) {
                String text = text();
                boolean isFound = want.matcher(text).find();
                found += isFound ? 1 : 0;
                assertEquals(isFound, finds(pattern, text), pattern + " in " + text);
            }
        }
        assertTrue(found > 5_000 && found < 45_000, "found " + found);
    }

    private String pick(String... from) {
        return from[random.nextInt(from.length)];
    }

    private String text() {
        StringBuilder text = new StringBuilder();
        for (int n = random.nextInt(7); n > 0; n--) {
            text.append(pick("a", "b", "c", ".", "-", "1", "_"));
        }
        return text.toString();
    }

    private String branches(int depth) {
        StringBuilder pattern = new StringBuilder();
        for (int n = 1 + random.nextInt(3); n > 0; n--) {
            pattern.append(atom(depth)).append(pick("", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "{1,2}?"));
        }
        return pattern + (random.nextInt(4) == 0 ? "|" + branches(depth - 1) : "");
    }

    private String atom(int depth) {
        if (depth > 0 && random.nextInt(4) == 0) {
            return pick("(", "(?:") + branches(depth - 1) + ")";
        }
        return pick("a", "b", "c", "\\.", "-", ".", "\\d", "\\w", "\\W", "\\D", "[a-c]", "[^a.]", "[\\d_-]", "[^\\w-]",
                "\\_");
    }

    @Test
    void noneTakesLong() {
        String host = "a".repeat(255);
        assertTimeoutPreemptively(Duration.ofSeconds(10), () -> {
            for (String pattern : List.of("^([a-z]+)+$", "^(a+)+$", "^(a|a)*$", "^a*a*a*a*a*a*a*b$", "(a*)*b",
                    "^(a{1,30}){1,30}b$", "((((a*)*)*)*)*b", "^(?:[a-z]?){500}[a-z]{500}$")) {
                assertFalse(Hosts.allow(List.of("re:" + pattern), host.substring(1) + "!"), pattern);
            }
            assertFalse(Hosts.allow(List.of("re:" + "(".repeat(100_000)), host));
            assertFalse(Hosts.allow(List.of("re:" + "a{1000}|".repeat(200)), host));
        });
        long start = System.nanoTime();
        assertFalse(Hosts.allow(List.of("re:^([a-z]+)+$"), host.substring(1) + "!"));
        assertTrue(System.nanoTime() - start < 500_000_000L);
        assertTrue(Hosts.allow(List.of("re:^([a-z]+)+$"), host));
    }

    @Test
    void aHostOfMoreThan255CharactersIsAllowedByNothing() {
        String host = "a".repeat(255);
        for (String url : List.of("re:a", "https://" + host, "https://" + host + "a")) {
            assertEquals(!url.endsWith("a".repeat(256)), Hosts.allow(List.of(url), host + ":443"));
            assertFalse(Hosts.allow(List.of(url), host + "a"));
        }
    }
}
