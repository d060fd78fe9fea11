// A JSON document of 1,000n records: text to tree to text.
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

#define RECORDS 1000

// -- texts that grow

typedef struct {
    char *data;
    size_t length;
    size_t capacity;
} Text;

static void reserve(Text *text, size_t more) {
    if (text->length + more > text->capacity) {
        text->capacity = (text->length + more) * 2;
        text->data = realloc(text->data, text->capacity);
    }
}

static void append(Text *text, const char *data, size_t length) {
    reserve(text, length);
    memcpy(text->data + text->length, data, length);
    text->length += length;
}

static void append_text(Text *text, const char *data) {
    append(text, data, strlen(data));
}

static void append_char(Text *text, char c) {
    reserve(text, 1);
    text->data[text->length++] = c;
}

static void append_integer(Text *text, int64_t value) {
    reserve(text, DIGITS);
    text->length += write_digits(text->data + text->length, value);
}

// -- the tree

typedef struct {
    char *data;
    size_t length;
} String;

typedef struct Json Json;
typedef struct Member Member;

struct Json {
    enum { NIL, BOOLEAN, INTEGER, FLOAT, STRING, ARRAY, OBJECT } kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        String string;
        struct {
            Json *items;
            size_t length;
        } array;
        struct {
            Member *members;
            size_t length;
        } object;
    };
};

struct Member {
    String key;
    Json value;
};

static void destroy(Json *json) {
    switch (json->kind) {
    case STRING:
        free(json->string.data);
        break;
    case ARRAY:
        for (size_t i = 0; i < json->array.length; i++) destroy(&json->array.items[i]);
        free(json->array.items);
        break;
    case OBJECT:
        for (size_t i = 0; i < json->object.length; i++) {
            free(json->object.members[i].key.data);
            destroy(&json->object.members[i].value);
        }
        free(json->object.members);
        break;
    default:
        break;
    }
}

// -- text to tree; what is no JSON stops the program

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

typedef struct {
    const char *at;
    const char *end;
} Parser;

static void skip_blanks(Parser *parser) {
    while (parser->at < parser->end && strchr(" \t\r\n", *parser->at) != NULL) parser->at++;
}

static char peek(const Parser *parser) {
    return parser->at < parser->end ? *parser->at : '\0';
}

static void expect(Parser *parser, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length) != 0) abort();
    parser->at += length;
}

static uint32_t parse_code(Parser *parser) {
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        char c = peek(parser);
        uint32_t digit;
        if (c >= '0' && c <= '9') digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') digit = (uint32_t)(c - 'A' + 10);
        else abort();
        code = code * 16 + digit;
        parser->at++;
    }
    return code;
}

static char *write_utf8(char *to, uint32_t code) {
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *to++ = (char)(0x80 | (code & 0x3F));
    return to;
}

static String parse_string(Parser *parser) {
    expect(parser, "\"");
    const char *last = parser->at;
    while (last < parser->end && *last != '"') last += *last == '\\' ? 2 : 1;
    if (last >= parser->end) abort();
    char *data = malloc((size_t)(last - parser->at) + 1);  // no escape is shorter than what it means
    char *to = data;
    while (parser->at < last) {
        char c = *parser->at++;
        if ((uint8_t)c < ' ') abort();
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        switch (c = *parser->at++) {
        case '"':
        case '\\':
        case '/':
            *to++ = c;
            break;
        case 'b':
            *to++ = '\b';
            break;
        case 'f':
            *to++ = '\f';
            break;
        case 'n':
            *to++ = '\n';
            break;
        case 'r':
            *to++ = '\r';
            break;
        case 't':
            *to++ = '\t';
            break;
        case 'u': {
            uint32_t code = parse_code(parser);
            if (code >= 0xD800 && code < 0xDC00) {
                expect(parser, "\\u");
                code = 0x10000 + ((code - 0xD800) << 10) + (parse_code(parser) - 0xDC00);
            }
            to = write_utf8(to, code);
            break;
        }
        default:
            abort();
        }
    }
    parser->at++;
    return (String){data, (size_t)(to - data)};
}

static Json parse_number(Parser *parser) {
    const char *start = parser->at;
    bool negative = peek(parser) == '-', whole = true;
    if (negative) parser->at++;
    uint64_t digits = 0;
    int count = 0, behind_point = 0;
    if (peek(parser) < '0' || peek(parser) > '9') abort();
    for (; peek(parser) >= '0' && peek(parser) <= '9'; count++) digits = digits * 10 + (uint64_t)(*parser->at++ - '0');
    if (peek(parser) == '.') {
        whole = false;
        parser->at++;
        for (; peek(parser) >= '0' && peek(parser) <= '9'; count++, behind_point++) {
            digits = digits * 10 + (uint64_t)(*parser->at++ - '0');
        }
    }
    if (whole && count <= 18 && (peek(parser) | 0x20) != 'e') {
        return (Json){.kind = INTEGER, .integer = negative ? -(int64_t)digits : (int64_t)digits};
    }
    if (count <= 15 && (peek(parser) | 0x20) != 'e') {  // both are exact, so their quotient is the nearest number
        double number = (double)digits / TENS[behind_point];
        return (Json){.kind = FLOAT, .number = negative ? -number : number};
    }
    char *end;
    Json json = {.kind = FLOAT, .number = strtod(start, &end)};
    parser->at = end;
    return json;
}

static Json parse_value(Parser *parser);

static Json parse_array(Parser *parser) {
    Json *items = NULL;
    size_t length = 0, capacity = 0;
    expect(parser, "[");
    skip_blanks(parser);
    if (peek(parser) != ']') {
        for (;;) {
            if (length == capacity) {
                capacity = capacity == 0 ? 4 : capacity * 2;
                items = realloc(items, capacity * sizeof(Json));
            }
            items[length++] = parse_value(parser);
            if (peek(parser) != ',') break;
            parser->at++;
        }
    }
    expect(parser, "]");
    return (Json){.kind = ARRAY, .array = {items, length}};
}

static Json parse_object(Parser *parser) {
    Member *members = NULL;
    size_t length = 0, capacity = 0;
    expect(parser, "{");
    skip_blanks(parser);
    if (peek(parser) != '}') {
        for (;;) {
            if (length == capacity) {
                capacity = capacity == 0 ? 4 : capacity * 2;
                members = realloc(members, capacity * sizeof(Member));
            }
            Member *member = &members[length++];
            skip_blanks(parser);
            member->key = parse_string(parser);
            skip_blanks(parser);
            expect(parser, ":");
            member->value = parse_value(parser);
            if (peek(parser) != ',') break;
            parser->at++;
        }
    }
    expect(parser, "}");
    return (Json){.kind = OBJECT, .object = {members, length}};
}

static Json parse_value(Parser *parser) {
    Json json;
    skip_blanks(parser);
    switch (peek(parser)) {
    case '{':
        json = parse_object(parser);
        break;
    case '[':
        json = parse_array(parser);
        break;
    case '"':
        json = (Json){.kind = STRING, .string = parse_string(parser)};
        break;
    case 't':
        expect(parser, "true");
        json = (Json){.kind = BOOLEAN, .boolean = true};
        break;
    case 'f':
        expect(parser, "false");
        json = (Json){.kind = BOOLEAN, .boolean = false};
        break;
    case 'n':
        expect(parser, "null");
        json = (Json){.kind = NIL};
        break;
    default:
        json = parse_number(parser);
    }
    skip_blanks(parser);
    return json;
}

static Json parse(const Text *text) {
    Parser parser = {text->data, text->data + text->length};
    Json json = parse_value(&parser);
    if (parser.at != parser.end) abort();
    return json;
}

// -- tree to text

static void print_string(Text *to, String string) {
    append_char(to, '"');
    size_t start = 0;
    for (size_t i = 0; i < string.length; i++) {
        char c = string.data[i];
        if (c != '"' && c != '\\' && (uint8_t)c >= ' ') continue;
        append(to, string.data + start, i - start);
        start = i + 1;
        switch (c) {
        case '"':
            append_text(to, "\\\"");
            break;
        case '\\':
            append_text(to, "\\\\");
            break;
        case '\n':
            append_text(to, "\\n");
            break;
        case '\r':
            append_text(to, "\\r");
            break;
        case '\t':
            append_text(to, "\\t");
            break;
        case '\b':
            append_text(to, "\\b");
            break;
        case '\f':
            append_text(to, "\\f");
            break;
        default: {
            char code[8];
            append(to, code, (size_t)snprintf(code, sizeof code, "\\u%04x", (unsigned)c));
        }
        }
    }
    append(to, string.data + start, string.length - start);
    append_char(to, '"');
}

static void print_float(Text *to, double number) {
    double size = fabs(number);
    for (int places = 1; size < 1e9 && places <= 6; places++) {
        double scaled = nearbyint(size * TENS[places]);
        if (scaled / TENS[places] != size) continue;  // these digits do not read back as the same number
        int64_t whole = (int64_t)scaled / (int64_t)TENS[places];
        int64_t rest = (int64_t)scaled % (int64_t)TENS[places];
        if (number < 0) append_char(to, '-');
        append_integer(to, whole);
        append_char(to, '.');
        for (int place = places - 1; place > 0 && rest < (int64_t)TENS[place]; place--) append_char(to, '0');
        append_integer(to, rest);
        return;
    }
    char digits[32];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number) break;
    }
    append_text(to, digits);
}

static void print(Text *to, const Json *json) {
    switch (json->kind) {
    case NIL:
        append_text(to, "null");
        break;
    case BOOLEAN:
        append_text(to, json->boolean ? "true" : "false");
        break;
    case INTEGER:
        append_integer(to, json->integer);
        break;
    case FLOAT:
        print_float(to, json->number);
        break;
    case STRING:
        print_string(to, json->string);
        break;
    case ARRAY:
        append_char(to, '[');
        for (size_t i = 0; i < json->array.length; i++) {
            if (i > 0) append_char(to, ',');
            print(to, &json->array.items[i]);
        }
        append_char(to, ']');
        break;
    case OBJECT:
        append_char(to, '{');
        for (size_t i = 0; i < json->object.length; i++) {
            if (i > 0) append_char(to, ',');
            print_string(to, json->object.members[i].key);
            append_char(to, ':');
            print(to, &json->object.members[i].value);
        }
        append_char(to, '}');
        break;
    }
}

// -- the document

static Text write_document(int64_t n) {
    Text records = {NULL, 0, 0};
    for (int64_t id = 0; id < RECORDS; id++) {
        if (id > 0) append_text(&records, ", ");
        append_text(&records, "{\"id\": ");
        append_integer(&records, id);
        append_text(&records, ", \"name\": \"item ");
        append_integer(&records, id);
        append_text(&records, "\", \"price\": ");
        append_integer(&records, id);
        append_text(&records, ".25, \"active\": true, \"tags\": [\"red\", \"a \\\"quoted\\\" word\", \"\\u0041\\tline\\n\"], ");
        append_text(&records, "\"place\": {\"x\": -");
        append_integer(&records, id * 1000 + 1);
        append_text(&records, ", \"y\": 0.5, \"note\": null}}");
    }
    Text text = {NULL, 0, 0};
    append_char(&text, '[');
    for (int64_t i = 0; i < n; i++) {
        if (i > 0) append_text(&text, ", ");
        append(&text, records.data, records.length);
    }
    append_char(&text, ']');
    free(records.data);
    return text;
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    Text text = write_document(n);
    Json json = parse(&text);
    Text printed = {NULL, 0, 0};
    print(&printed, &json);
    int64_t hash = 0;
    for (size_t i = 0; i < printed.length; i++) hash = (hash * 31 + printed.data[i]) & 0x7FFFFFFF;
    int64_t result = (int64_t)printed.length * 0x80000000LL + hash;
    destroy(&json);
    free(text.data);
    free(printed.data);
    return result;
}
