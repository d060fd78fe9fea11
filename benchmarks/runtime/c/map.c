// A hash table from numbers to numbers: n updates of random keys, then n lookups, of which half find nothing.
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    int64_t key;
    int64_t value;
    bool used;
} Slot;

typedef struct {
    Slot *slots;
    size_t capacity;  // a power of two
    size_t length;
} Map;

static Slot *find(const Map *map, int64_t key) {
    size_t mask = map->capacity - 1;
    size_t at = (size_t)(((uint64_t)key * 0x9E3779B97F4A7C15ULL) >> 32) & mask;
    while (map->slots[at].used && map->slots[at].key != key) at = (at + 1) & mask;
    return &map->slots[at];
}

static Map map_new(void) {
    return (Map){.slots = calloc(16, sizeof(Slot)), .capacity = 16};
}

static bool map_get(const Map *map, int64_t key, int64_t *value) {
    const Slot *slot = find(map, key);
    if (slot->used) *value = slot->value;
    return slot->used;
}

static void map_insert(Map *map, int64_t key, int64_t value) {
    Slot *slot = find(map, key);
    if (!slot->used && (map->length + 1) * 4 > map->capacity * 3) {
        Map grown = {.slots = calloc(map->capacity * 2, sizeof(Slot)), .capacity = map->capacity * 2};
        for (size_t i = 0; i < map->capacity; i++) {
            if (map->slots[i].used) *find(&grown, map->slots[i].key) = map->slots[i];
        }
        free(map->slots);
        map->slots = grown.slots;
        map->capacity = grown.capacity;
        slot = find(map, key);
    }
    if (!slot->used) {
        slot->used = true;
        slot->key = key;
        map->length++;
    }
    slot->value = value;
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    Map counts = map_new();
    int64_t random = 42;
    for (int64_t i = 0; i < n; i++) {
        random = (random * 1103515245 + 12345) & 0x7FFFFFFF;
        int64_t key = random / 8 % n * 2, value = 0;
        map_get(&counts, key, &value);
        map_insert(&counts, key, value + i);
    }
    int64_t total = (int64_t)counts.length;
    for (int64_t key = 0; key < n; key++) {
        int64_t value = 1;
        map_get(&counts, key, &value);
        total += value;
    }
    free(counts.slots);
    return total;
}
