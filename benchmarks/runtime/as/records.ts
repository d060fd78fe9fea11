// A list of 100,000 records, all of them changed n times.

const RECORDS: i64 = 100_000;

class Account {
  overdrafts: i64 = 0;
  average: f64 = 0.0;

  constructor(
    public id: i64,
    public balance: i64,
    public step: i64,
  ) {}
}

function open(): Array<Account> {
  const accounts = new Array<Account>();
  for (let id: i64 = 0; id < RECORDS; id++) accounts.push(new Account(id, id % 1000, (id % 17) + 1));
  return accounts;
}

function update(accounts: Array<Account>): void {
  for (let i = 0; i < accounts.length; i++) {
    const account = accounts[i];
    account.balance -= account.step;
    if (account.balance < 0) {
      account.balance += 1000;
      account.overdrafts += 1;
    }
    account.average = account.average * 0.75 + <f64>account.balance * 0.25;
  }
}

export function run(n: i64): i64 {
  const accounts = open();
  for (let i: i64 = 0; i < n; i++) update(accounts);
  let total: i64 = 0;
  for (let i = 0; i < accounts.length; i++) {
    const account = accounts[i];
    total += account.balance + account.overdrafts * account.id + <i64>account.average;
  }
  return total;
}
