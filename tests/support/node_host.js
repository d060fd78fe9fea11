// Runs WebAssembly modules for tests/support/node.py: a command on each line, an answer on each line, both JSON.
const fs = require("fs");
const lines = require("readline").createInterface({ input: process.stdin });
let module_, instance;

function slot(value) {
  if (typeof value === "bigint") return value.toString();
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return { bits: view.getBigUint64(0).toString() };
}

const commands = {
  load: ({ path }) => { module_ = new WebAssembly.Module(fs.readFileSync(path)); return null; },
  start: () => { instance = new WebAssembly.Instance(module_, {}); return Object.keys(instance.exports); },
  call: ({ name, arguments: given }) => {
    const result = instance.exports[name](...given);
    return result === undefined ? [] : (Array.isArray(result) ? result : [result]).map(slot);
  },
  get: ({ name }) => Number(instance.exports[name].value),
  set: ({ name, value }) => { instance.exports[name].value = value; return null; },
  read: ({ address, size }) => Buffer.from(instance.exports.memory.buffer, address, size).toString("hex"),
};

lines.on("line", (line) => {
  const message = JSON.parse(line);
  let answer;
  try {
    answer = { value: commands[message.command](message) };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
