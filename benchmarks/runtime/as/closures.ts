// Values with a function: AssemblyScript's function expressions capture nothing, so classes take their place.

abstract class Step {
  abstract call(x: i64): i64;
}

class Add extends Step {
  constructor(private by: i64) {
    super();
  }

  call(x: i64): i64 {
    return (x + this.by) & 0xffffffff;
  }
}

class Scale extends Step {
  constructor(private by: i64) {
    super();
  }

  call(x: i64): i64 {
    return (x * this.by) & 0xffffffff;
  }
}

class Mix extends Step {
  constructor(private by: i64) {
    super();
  }

  call(x: i64): i64 {
    return x ^ this.by;
  }
}

class Increment extends Step {
  call(x: i64): i64 {
    return x + 1;
  }
}

abstract class Act {
  abstract call(f: Step): void;
}

class Count extends Act {
  odd: i64 = 0;
  value: i64 = 1;

  call(f: Step): void {
    this.odd += f.call(this.value) & 1;
  }
}

function choose(kind: i64, by: i64): Step {
  switch (<i32>kind) {
    case 0:
      return new Add(by);
    case 1:
      return new Scale(by);
    case 2:
      return new Mix(by);
    default:
      return new Increment();
  }
}

function each(functions: Array<Step>, act: Act): void {
  for (let i = 0; i < functions.length; i++) act.call(functions[i]);
}

export function run(n: i64): i64 {
  const functions = new Array<Step>();
  let random = n;
  for (let i = 0; i < 10; i++) {
    random = (random * 1103515245 + 12345) & 0x7fffffff;
    functions.push(choose((random / 65536) % 4, ((random / 1024) % 100) + 1));
  }
  const count = new Count();
  for (let i: i64 = 0; i < n; i++) {
    for (let j = 0; j < functions.length; j++) count.value = functions[j].call(count.value);
    each(functions, count);
  }
  return count.value * 0x10000000 + count.odd;
}
