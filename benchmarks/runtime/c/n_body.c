// The sun and four planets, step by step; the result is the energy at the end.
#include <math.h>
#include <stdint.h>

#define BODIES 5
#define SOLAR_MASS 39.47841760435743
#define DAYS 365.24

typedef struct {
    double x, y, z;
    double vx, vy, vz;
    double mass;
} Body;

static const Body planets[BODIES] = {
    {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, SOLAR_MASS},
    {
        4.8414314424647209,
        -1.16032004402742839,
        -0.103622044471123109,
        0.00166007664274403694 * DAYS,
        0.00769901118419740425 * DAYS,
        -0.0000690460016972063023 * DAYS,
        0.000954791938424326609 * SOLAR_MASS
    },
    {
        8.34336671824457987,
        4.12479856412430479,
        -0.403523417114321381,
        -0.00276742510726411912 * DAYS,
        0.00499852801234917238 * DAYS,
        0.0000230417297573763929 * DAYS,
        0.000285885980666130812 * SOLAR_MASS
    },
    {
        12.894369562139131,
        -15.1111514016986312,
        -0.223307578892655734,
        0.00296460137564761618 * DAYS,
        0.0023784717395948095 * DAYS,
        -0.0000296589568540237556 * DAYS,
        0.0000436624404335156298 * SOLAR_MASS
    },
    {
        15.3796971148509165,
        -25.9193146099879641,
        0.179258772950371181,
        0.00268067772490389322 * DAYS,
        0.00162824170038242295 * DAYS,
        -0.000095159225451971587 * DAYS,
        0.0000515138902046611451 * SOLAR_MASS
    },
};

static void offset_momentum(Body *bodies) {
    double px = 0.0, py = 0.0, pz = 0.0;
    for (int i = 0; i < BODIES; i++) {
        px += bodies[i].vx * bodies[i].mass;
        py += bodies[i].vy * bodies[i].mass;
        pz += bodies[i].vz * bodies[i].mass;
    }
    bodies[0].vx = -px / SOLAR_MASS;
    bodies[0].vy = -py / SOLAR_MASS;
    bodies[0].vz = -pz / SOLAR_MASS;
}

static void advance(Body *bodies, double dt) {
    for (int i = 0; i < BODIES; i++) {
        Body *a = &bodies[i];
        for (int j = i + 1; j < BODIES; j++) {
            Body *b = &bodies[j];
            double dx = a->x - b->x;
            double dy = a->y - b->y;
            double dz = a->z - b->z;
            double square = dx * dx + dy * dy + dz * dz;
            double magnitude = dt / (square * sqrt(square));
            a->vx -= dx * b->mass * magnitude;
            a->vy -= dy * b->mass * magnitude;
            a->vz -= dz * b->mass * magnitude;
            b->vx += dx * a->mass * magnitude;
            b->vy += dy * a->mass * magnitude;
            b->vz += dz * a->mass * magnitude;
        }
    }
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += dt * bodies[i].vx;
        bodies[i].y += dt * bodies[i].vy;
        bodies[i].z += dt * bodies[i].vz;
    }
}

static double energy(const Body *bodies) {
    double total = 0.0;
    for (int i = 0; i < BODIES; i++) {
        const Body *a = &bodies[i];
        total += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
        for (int j = i + 1; j < BODIES; j++) {
            const Body *b = &bodies[j];
            double dx = a->x - b->x;
            double dy = a->y - b->y;
            double dz = a->z - b->z;
            total -= a->mass * b->mass / sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return total;
}

__attribute__((export_name("run"))) double run(int64_t n) {
    Body bodies[BODIES];
    for (int i = 0; i < BODIES; i++) bodies[i] = planets[i];
    offset_momentum(bodies);
    for (int64_t i = 0; i < n; i++) advance(bodies, 0.01);
    return energy(bodies);
}
