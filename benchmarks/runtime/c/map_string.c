// A hash table from words to numbers: how often each of 20,000 words occurs among n.
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

#define WORDS 20000

typedef struct {
    const char *key;  // NULL where the slot is free; belongs to the list of words
    uint32_t hash;
    int64_t value;
} Slot;

typedef struct {
    Slot *slots;
    size_t capacity;  // a power of two
    size_t length;
} Map;

static uint32_t hash_of(const char *key) {
    uint32_t hash = 2166136261u;
    for (; *key != '\0'; key++) hash = (hash ^ (uint8_t)*key) * 16777619u;
    return hash;
}

static Slot *find(const Map *map, const char *key, uint32_t hash) {
    size_t mask = map->capacity - 1;
    size_t at = hash & mask;
    for (;; at = (at + 1) & mask) {
        Slot *slot = &map->slots[at];
        if (slot->key == NULL || (slot->hash == hash && strcmp(slot->key, key) == 0)) return slot;
    }
}

static Map map_new(void) {
    return (Map){.slots = calloc(16, sizeof(Slot)), .capacity = 16};
}

static bool map_get(const Map *map, const char *key, int64_t *value) {
    const Slot *slot = find(map, key, hash_of(key));
    if (slot->key == NULL) return false;
    *value = slot->value;
    return true;
}

static void map_insert(Map *map, const char *key, int64_t value) {
    uint32_t hash = hash_of(key);
    Slot *slot = find(map, key, hash);
    if (slot->key == NULL && (map->length + 1) * 4 > map->capacity * 3) {
        Map grown = {.slots = calloc(map->capacity * 2, sizeof(Slot)), .capacity = map->capacity * 2};
        for (size_t i = 0; i < map->capacity; i++) {
            const Slot *old = &map->slots[i];
            if (old->key != NULL) *find(&grown, old->key, old->hash) = *old;
        }
        free(map->slots);
        map->slots = grown.slots;
        map->capacity = grown.capacity;
        slot = find(map, key, hash);
    }
    if (slot->key == NULL) {
        slot->key = key;
        slot->hash = hash;
        map->length++;
    }
    slot->value = value;
}

static char **make_words(void) {
    char **words = malloc(WORDS * sizeof(char *));
    for (int64_t i = 0; i < WORDS; i++) {
        char text[4 + DIGITS + 1] = "word";
        size_t length = 4 + write_digits(text + 4, i * 7919 % WORDS);
        words[i] = malloc(length + 1);
        memcpy(words[i], text, length);
        words[i][length] = '\0';
    }
    return words;
}

static void free_words(char **words) {
    for (int i = 0; i < WORDS; i++) free(words[i]);
    free(words);
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    Map counts = map_new();
    char **written = make_words();
    int64_t random = 42;
    for (int64_t i = 0; i < n; i++) {
        random = (random * 1103515245 + 12345) & 0x7FFFFFFF;
        const char *word = written[random / 8 % WORDS];
        int64_t count = 0;
        map_get(&counts, word, &count);
        map_insert(&counts, word, count + 1);
    }
    int64_t total = (int64_t)counts.length;
    char **asked = make_words();
    for (int i = 0; i < WORDS; i++) {
        int64_t count = 1;
        map_get(&counts, asked[i], &count);
        total += count * count;
    }
    free(counts.slots);
    free_words(written);
    free_words(asked);
    return total;
}
