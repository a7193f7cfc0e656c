package openlicenser.client;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Json reads RFC 8259, and nothing beside it: the reader in the JOSE library takes single quotes, comments and more. Of
 * two members of one name the last one counts, as for clients in Go and JavaScript.
 *
 * <p>A value is a Map, List, String, Long, Double, Boolean or null. Only whole numbers without exponent are Longs.
 */
final class Json {
    private static final int MAX_DEPTH = 200;

    private final String text;
    private int at;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    /** MalformedException says that a text is no JSON, or another value than is asked for. */
    static final class MalformedException extends Exception {
        private static final long serialVersionUID = 1;

        MalformedException(String message) {
            super(message);
        }
    }

    static Object read(String text) throws MalformedException {
        Json reader = new Json(text);
        reader.skipSpace();
        Object value = reader.value();
        reader.skipSpace();
        if (reader.at < text.length()) {
            throw reader.malformed();
        }
        return value;
    }

    static Map<String, Object> readObject(byte[] text) throws MalformedException {
        return object(read(new String(text, StandardCharsets.UTF_8)));
    }

    @SuppressWarnings("unchecked") // value makes no other maps
    static Map<String, Object> object(Object value) throws MalformedException {
        if (value instanceof Map) {
            return (Map<String, Object>) value;
        }
        throw new MalformedException("no JSON object");
    }

    @SuppressWarnings("unchecked") // value makes no other lists
    static List<Object> list(Object value) throws MalformedException {
        if (value instanceof List) {
            return (List<Object>) value;
        }
        throw new MalformedException("no JSON list");
    }

    /** Returns a member that is a text, and an empty one where it is not there or null. */
    static String text(Map<String, Object> object, String name) throws MalformedException {
        Object value = object.get(name);
        if (value != null && !(value instanceof String)) {
            throw new MalformedException(name + " is no text");
        }
        return value == null ? "" : (String) value;
    }

    /** Returns a member that is a text, or an empty one. */
    static String textOrNone(Map<String, Object> object, String name) {
        return object.get(name) instanceof String ? (String) object.get(name) : "";
    }

    private Object value() throws MalformedException {
        if (at >= text.length()) {
            throw malformed();
        }
        switch (text.charAt(at)) {
            case '{':
                return members();
            case '[':
                return elements();
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> members() throws MalformedException {
        Map<String, Object> members = new LinkedHashMap<>();
        open();
        while (!closes('}', members.isEmpty())) {
            if (at >= text.length() || text.charAt(at) != '"') {
                throw malformed();
            }
            String name = string();
            skipSpace();
            expect(':');
            skipSpace();
            members.put(name, value());
        }
        return members;
    }

    private List<Object> elements() throws MalformedException {
        List<Object> elements = new ArrayList<>();
        open();
        while (!closes(']', elements.isEmpty())) {
            elements.add(value());
        }
        return elements;
    }

    private void open() throws MalformedException {
        at++;
        if (++depth > MAX_DEPTH) {
            throw malformed();
        }
    }

    /** Reports whether the list or object ends here. Else the next element begins here. */
    private boolean closes(char end, boolean first) throws MalformedException {
        skipSpace();
        if (at < text.length() && text.charAt(at) == end) {
            at++;
            depth--;
            return true;
        }
        if (!first) {
            expect(',');
            skipSpace();
        }
        return false;
    }

    private String string() throws MalformedException {
        StringBuilder string = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c == '"') {
                at++;
                return string.toString();
            }
            if (c < ' ') {
                throw malformed();
            }
            string.append(c == '\\' ? escaped() : c);
        }
        throw malformed();
    }

    /** Returns the character of an escape, and stays at the last one that belongs to it. */
    private char escaped() throws MalformedException {
        at++;
        int which = at < text.length() ? "\"\\/bfnrt".indexOf(text.charAt(at)) : -1;
        if (which >= 0) {
            return "\"\\/\b\f\n\r\t".charAt(which);
        }
        if (at + 4 >= text.length() || text.charAt(at) != 'u') {
            throw malformed();
        }
        int code = 0;
        for (int i = 0; i < 4; i++) {
            char c = text.charAt(++at);
            if (c > 'f' || Character.digit(c, 16) < 0) {
                throw malformed();
            }
            code = code * 16 + Character.digit(c, 16);
        }
        return (char) code;
    }

    private Object number() throws MalformedException {
        int start = at;
        skipOne('-');
        if (!skipOne('0')) {
            digits();
        }
        boolean whole = true;
        if (skipOne('.')) {
            whole = false;
            digits();
        }
        if (skipOne('e') || skipOne('E')) {
            whole = false;
            if (!skipOne('+')) {
                skipOne('-');
            }
            digits();
        }
        String number = text.substring(start, at);
        try {
            return whole ? (Object) Long.valueOf(number) : (Object) Double.valueOf(number);
        } catch (NumberFormatException e) { // it has more than 64 bits
            return Double.valueOf(number);
        }
    }

    private void digits() throws MalformedException {
        int start = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
        if (at == start) {
            throw malformed();
        }
    }

    private Object word(String word, Object value) throws MalformedException {
        if (!text.startsWith(word, at)) {
            throw malformed();
        }
        at += word.length();
        return value;
    }

    private boolean skipOne(char c) {
        boolean is = at < text.length() && text.charAt(at) == c;
        at += is ? 1 : 0;
        return is;
    }

    private void expect(char c) throws MalformedException {
        if (!skipOne(c)) {
            throw malformed();
        }
    }

    private void skipSpace() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    /** The message has the place only: a text can hold a token. */
    private MalformedException malformed() {
        return new MalformedException("no JSON at character " + at);
    }

    /** Returns an object as one line. Its values are texts, numbers, and lists of such objects. */
    static String write(Map<String, ?> object) {
        StringBuilder line = new StringBuilder("{");
        for (Map.Entry<String, ?> member : object.entrySet()) {
            line.append(line.length() > 1 ? "," : "");
            quote(line, member.getKey());
            line.append(':');
            writeValue(line, member.getValue());
        }
        return line.append('}').toString();
    }

    @SuppressWarnings("unchecked") // callers give lists of such maps
    private static void writeValue(StringBuilder line, Object value) {
        if (value instanceof List) {
            List<String> elements = new ArrayList<>();
            for (Object element : (List<?>) value) {
                elements.add(write((Map<String, ?>) element));
            }
            line.append('[').append(String.join(",", elements)).append(']');
        } else if (value instanceof String) {
            quote(line, (String) value);
        } else {
            line.append(value);
        }
    }

    private static void quote(StringBuilder line, String text) {
        line.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                line.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                line.append(String.format("\\u%04x", (int) c));
            } else {
                line.append(c);
            }
        }
        line.append('"');
    }
}
