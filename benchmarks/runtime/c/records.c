// An array of 100,000 records, all of them changed n times.
#include <stdint.h>
#include <stdlib.h>

#define RECORDS 100000

typedef struct {
    int64_t id;
    int64_t balance;
    int64_t step;
    int64_t overdrafts;
    double average;
} Account;

static Account *open_accounts(void) {
    Account *accounts = malloc(RECORDS * sizeof(Account));
    for (int64_t id = 0; id < RECORDS; id++) {
        accounts[id] = (Account){.id = id, .balance = id % 1000, .step = id % 17 + 1};
    }
    return accounts;
}

static void update(Account *accounts) {
    for (int i = 0; i < RECORDS; i++) {
        Account *account = &accounts[i];
        account->balance -= account->step;
        if (account->balance < 0) {
            account->balance += 1000;
            account->overdrafts += 1;
        }
        account->average = account->average * 0.75 + (double)account->balance * 0.25;
    }
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    Account *accounts = open_accounts();
    for (int64_t i = 0; i < n; i++) update(accounts);
    int64_t total = 0;
    for (int i = 0; i < RECORDS; i++) {
        total += accounts[i].balance + accounts[i].overdrafts * accounts[i].id + (int64_t)accounts[i].average;
    }
    free(accounts);
    return total;
}
