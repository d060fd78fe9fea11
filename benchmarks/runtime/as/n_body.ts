// The sun and four planets, step by step; the result is the energy at the end.

const SOLAR_MASS: f64 = 39.47841760435743;
const DAYS: f64 = 365.24;

class Body {
  constructor(
    public x: f64,
    public y: f64,
    public z: f64,
    public vx: f64,
    public vy: f64,
    public vz: f64,
    public mass: f64,
  ) {}
}

function planets(): StaticArray<Body> {
  return [
    new Body(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, SOLAR_MASS),
    new Body(
      4.8414314424647209,
      -1.16032004402742839,
      -0.103622044471123109,
      0.00166007664274403694 * DAYS,
      0.00769901118419740425 * DAYS,
      -0.0000690460016972063023 * DAYS,
      0.000954791938424326609 * SOLAR_MASS,
    ),
    new Body(
      8.34336671824457987,
      4.12479856412430479,
      -0.403523417114321381,
      -0.00276742510726411912 * DAYS,
      0.00499852801234917238 * DAYS,
      0.0000230417297573763929 * DAYS,
      0.000285885980666130812 * SOLAR_MASS,
    ),
    new Body(
      12.894369562139131,
      -15.1111514016986312,
      -0.223307578892655734,
      0.00296460137564761618 * DAYS,
      0.0023784717395948095 * DAYS,
      -0.0000296589568540237556 * DAYS,
      0.0000436624404335156298 * SOLAR_MASS,
    ),
    new Body(
      15.3796971148509165,
      -25.9193146099879641,
      0.179258772950371181,
      0.00268067772490389322 * DAYS,
      0.00162824170038242295 * DAYS,
      -0.000095159225451971587 * DAYS,
      0.0000515138902046611451 * SOLAR_MASS,
    ),
  ];
}

function offsetMomentum(bodies: StaticArray<Body>): void {
  let px: f64 = 0.0;
  let py: f64 = 0.0;
  let pz: f64 = 0.0;
  for (let i = 0; i < bodies.length; i++) {
    const body = bodies[i];
    px += body.vx * body.mass;
    py += body.vy * body.mass;
    pz += body.vz * body.mass;
  }
  const sun = bodies[0];
  sun.vx = -px / SOLAR_MASS;
  sun.vy = -py / SOLAR_MASS;
  sun.vz = -pz / SOLAR_MASS;
}

function advance(bodies: StaticArray<Body>, dt: f64): void {
  for (let i = 0; i < bodies.length; i++) {
    const a = bodies[i];
    for (let j = i + 1; j < bodies.length; j++) {
      const b = bodies[j];
      const dx = a.x - b.x;
      const dy = a.y - b.y;
      const dz = a.z - b.z;
      const square = dx * dx + dy * dy + dz * dz;
      const magnitude = dt / (square * Math.sqrt(square));
      a.vx -= dx * b.mass * magnitude;
      a.vy -= dy * b.mass * magnitude;
      a.vz -= dz * b.mass * magnitude;
      b.vx += dx * a.mass * magnitude;
      b.vy += dy * a.mass * magnitude;
      b.vz += dz * a.mass * magnitude;
    }
  }
  for (let i = 0; i < bodies.length; i++) {
    const body = bodies[i];
    body.x += dt * body.vx;
    body.y += dt * body.vy;
    body.z += dt * body.vz;
  }
}

function energy(bodies: StaticArray<Body>): f64 {
  let total: f64 = 0.0;
  for (let i = 0; i < bodies.length; i++) {
    const a = bodies[i];
    total += 0.5 * a.mass * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz);
    for (let j = i + 1; j < bodies.length; j++) {
      const b = bodies[j];
      const dx = a.x - b.x;
      const dy = a.y - b.y;
      const dz = a.z - b.z;
      total -= (a.mass * b.mass) / Math.sqrt(dx * dx + dy * dy + dz * dz);
    }
  }
  return total;
}

export function run(n: i64): f64 {
  const bodies = planets();
  offsetMomentum(bodies);
  for (let i: i64 = 0; i < n; i++) advance(bodies, 0.01);
  return energy(bodies);
}
