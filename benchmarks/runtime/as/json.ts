// A JSON document of 1,000n records: text to tree to text.

const RECORDS: i32 = 1000;

abstract class Json {
  abstract print(parts: Array<string>): void;
}

class JsonNull extends Json {
  print(parts: Array<string>): void {
    parts.push("null");
  }
}

class JsonBool extends Json {
  constructor(private value: bool) {
    super();
  }

  print(parts: Array<string>): void {
    parts.push(this.value ? "true" : "false");
  }
}

class JsonInteger extends Json {
  constructor(private value: i64) {
    super();
  }

  print(parts: Array<string>): void {
    parts.push(this.value.toString());
  }
}

class JsonFloat extends Json {
  constructor(private value: f64) {
    super();
  }

  print(parts: Array<string>): void {
    parts.push(this.value.toString());
  }
}

class JsonString extends Json {
  constructor(private value: string) {
    super();
  }

  print(parts: Array<string>): void {
    printString(this.value, parts);
  }
}

class JsonArray extends Json {
  constructor(private items: Array<Json>) {
    super();
  }

  print(parts: Array<string>): void {
    const items = this.items;
    parts.push("[");
    for (let i = 0; i < items.length; i++) {
      if (i > 0) parts.push(",");
      items[i].print(parts);
    }
    parts.push("]");
  }
}

class JsonObject extends Json {
  constructor(private members: Map<string, Json>) {
    super();
  }

  print(parts: Array<string>): void {
    const keys = this.members.keys();
    const values = this.members.values();
    parts.push("{");
    for (let i = 0; i < keys.length; i++) {
      if (i > 0) parts.push(",");
      printString(keys[i], parts);
      parts.push(":");
      values[i].print(parts);
    }
    parts.push("}");
  }
}

function printString(text: string, parts: Array<string>): void {
  parts.push('"');
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c != 0x22 && c != 0x5c && c >= 0x20) continue;
    if (i > start) parts.push(text.substring(start, i));
    start = i + 1;
    if (c == 0x22) parts.push('\\"');
    else if (c == 0x5c) parts.push("\\\\");
    else if (c == 0x0a) parts.push("\\n");
    else if (c == 0x0d) parts.push("\\r");
    else if (c == 0x09) parts.push("\\t");
    else if (c == 0x08) parts.push("\\b");
    else if (c == 0x0c) parts.push("\\f");
    else parts.push("\\u" + c.toString(16).padStart(4, "0"));
  }
  if (start == 0) parts.push(text);
  else if (start < text.length) parts.push(text.substring(start));
  parts.push('"');
}

// What is no JSON stops the program.
class Parser {
  private at: i32 = 0;

  constructor(private text: string) {}

  document(): Json {
    const json = this.value();
    if (this.at != this.text.length) throw new Error("more than one value");
    return json;
  }

  private peek(): i32 {
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : 0;
  }

  private skipBlanks(): void {
    while (true) {
      const c = this.peek();
      if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return;
      this.at++;
    }
  }

  private expect(c: i32): void {
    if (this.peek() != c) throw new Error("unexpected character");
    this.at++;
  }

  private word(word: string): void {
    for (let i = 0; i < word.length; i++) this.expect(word.charCodeAt(i));
  }

  private value(): Json {
    this.skipBlanks();
    const json = this.bareValue();
    this.skipBlanks();
    return json;
  }

  private bareValue(): Json {
    switch (this.peek()) {
      case 0x7b:
        return this.object();
      case 0x5b:
        return this.array();
      case 0x22:
        return new JsonString(this.string());
      case 0x74:
        this.word("true");
        return new JsonBool(true);
      case 0x66:
        this.word("false");
        return new JsonBool(false);
      case 0x6e:
        this.word("null");
        return new JsonNull();
      default:
        return this.number();
    }
  }

  private array(): Json {
    const items = new Array<Json>();
    this.expect(0x5b);
    this.skipBlanks();
    if (this.peek() != 0x5d) {
      while (true) {
        items.push(this.value());
        if (this.peek() != 0x2c) break;
        this.at++;
      }
    }
    this.expect(0x5d);
    return new JsonArray(items);
  }

  private object(): Json {
    const members = new Map<string, Json>();
    this.expect(0x7b);
    this.skipBlanks();
    if (this.peek() != 0x7d) {
      while (true) {
        this.skipBlanks();
        const key = this.string();
        this.skipBlanks();
        this.expect(0x3a);
        members.set(key, this.value());
        if (this.peek() != 0x2c) break;
        this.at++;
      }
    }
    this.expect(0x7d);
    return new JsonObject(members);
  }

  private number(): Json {
    const start = this.at;
    let whole = true;
    if (this.peek() == 0x2d) this.at++;
    let value: i64 = 0;
    const first = this.at;
    while (true) {
      const c = this.peek();
      if (c >= 0x30 && c <= 0x39) {
        value = value * 10 + (c - 0x30);
      } else if (c == 0x2e || c == 0x65 || c == 0x45 || c == 0x2b || c == 0x2d) {
        whole = false;
      } else {
        break;
      }
      this.at++;
    }
    if (this.at == first) throw new Error("no value");
    if (whole && this.at - first <= 18) return new JsonInteger(first > start ? -value : value);
    return new JsonFloat(parseFloat(this.text.substring(start, this.at)));
  }

  private string(): string {
    this.expect(0x22);
    let start = this.at;
    let before = "";
    while (true) {
      const c = this.peek();
      if (c < 0x20) throw new Error("a string without end");
      if (c == 0x22) break;
      if (c == 0x5c) {
        before += this.text.substring(start, this.at) + this.escape();
        start = this.at;
      } else {
        this.at++;
      }
    }
    const rest = this.text.substring(start, this.at++);
    return before.length == 0 ? rest : before + rest;
  }

  private escape(): string {
    const c = this.text.charCodeAt(this.at + 1);
    this.at += 2;
    switch (c) {
      case 0x22:
      case 0x5c:
      case 0x2f:
        return String.fromCharCode(c);
      case 0x62:
        return "\b";
      case 0x66:
        return "\f";
      case 0x6e:
        return "\n";
      case 0x72:
        return "\r";
      case 0x74:
        return "\t";
      case 0x75: {
        const code = <i32>parseInt(this.text.substring(this.at, this.at + 4), 16);
        this.at += 4;
        return String.fromCharCode(code);
      }
      default:
        throw new Error("unknown escape");
    }
  }
}

function writeDocument(n: i32): string {
  const records = new Array<string>();
  for (let id = 0; id < RECORDS; id++) {
    const number = id.toString();
    records.push(
      '{"id": ' +
        number +
        ', "name": "item ' +
        number +
        '", "price": ' +
        number +
        '.25, "active": true, "tags": ["red", "a \\"quoted\\" word", "\\u0041\\tline\\n"], "place": {"x": -' +
        (id * 1000 + 1).toString() +
        ', "y": 0.5, "note": null}}',
    );
  }
  const text = records.join(", ");
  return "[" + (text + ", ").repeat(n - 1) + text + "]";
}

export function run(n: i64): i64 {
  const json = new Parser(writeDocument(<i32>n)).document();
  const parts = new Array<string>();
  json.print(parts);
  const printed = parts.join("");
  let hash: i64 = 0;
  for (let i = 0; i < printed.length; i++) hash = (hash * 31 + <i64>printed.charCodeAt(i)) & 0x7fffffff;
  return <i64>printed.length * 0x80000000 + hash;
}
