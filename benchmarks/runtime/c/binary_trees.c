// Perfect binary trees, built, counted and freed.
#include <stdint.h>
#include <stdlib.h>

typedef struct Node {
    struct Node *left;
    struct Node *right;
} Node;

static Node *build(int64_t depth) {
    Node *node = malloc(sizeof(Node));
    if (depth == 0) {
        node->left = NULL;
        node->right = NULL;
    } else {
        node->left = build(depth - 1);
        node->right = build(depth - 1);
    }
    return node;
}

static int64_t count(const Node *node) {
    int64_t total = 1;
    if (node->left != NULL) total += count(node->left);
    if (node->right != NULL) total += count(node->right);
    return total;
}

static void destroy(Node *node) {
    if (node->left != NULL) destroy(node->left);
    if (node->right != NULL) destroy(node->right);
    free(node);
}

static int64_t build_and_count(int64_t depth) {
    Node *tree = build(depth);
    int64_t nodes = count(tree);
    destroy(tree);
    return nodes;
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    int64_t total = build_and_count(n + 1);
    Node *lasting = build(n);
    for (int64_t depth = 4; depth <= n; depth += 4) {
        int64_t rounds = (int64_t)1 << (n - depth + 4);
        for (int64_t i = 0; i < rounds; i++) total += build_and_count(depth);
    }
    total += count(lasting);
    destroy(lasting);
    return total;
}
