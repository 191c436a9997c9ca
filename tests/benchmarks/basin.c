/* The rival of basin_map: Adam on Himmelblau's function from many starts, by hand.
 *
 * Built with: gcc -O3 -march=native -fno-math-errno -fopenmp. Bias factors are hoisted, as reciprocals, and 16
 * walks go side by side. It tells of each walk what basin_map tells: the last loss, the minimum it ends at and
 * since when, and the step at which it diverges.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define LANES 16
#define MINIMA 4
#define FARTHEST 1e9

void basin(int64_t count, const double *restrict xs, const double *restrict ys, int64_t steps, double lr,
           double beta1, double beta2, double eps, const double *minima, double radius,
           double *restrict loss, int32_t *restrict arrived, int32_t *restrict which, int32_t *restrict lost,
           int threads)
{
    double *unbias_m = malloc(steps * sizeof *unbias_m), *unbias_v = malloc(steps * sizeof *unbias_v);
    for (int64_t k = 0; k < steps; k++) {
        unbias_m[k] = 1 / (1 - pow(beta1, k + 1));
        unbias_v[k] = 1 / (1 - pow(beta2, k + 1));
    }
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t first = 0; first < count; first += LANES) {
        double x[LANES], y[LANES], mx[LANES], my[LANES], vx[LANES], vy[LANES], ux[LANES], uy[LANES], f[LANES];
        double square[LANES];
        int64_t outside[LANES], gone[LANES];
        for (int j = 0; j < LANES; j++) {
            x[j] = xs[first + j], y[j] = ys[first + j];
            mx[j] = my[j] = vx[j] = vy[j] = 0;
            outside[j] = gone[j] = -1;
        }
        for (int64_t k = 0; k <= steps; k++) {
            double c1 = k < steps ? unbias_m[k] : 0, c2 = k < steps ? unbias_v[k] : 0;
            for (int j = 0; j < LANES; j++) {
                double a = x[j] * x[j] + y[j] - 11, b = x[j] + y[j] * y[j] - 7;
                f[j] = a * a + b * b;
                double nearest = INFINITY;
                for (int i = 0; i < MINIMA; i++) {
                    double dx = x[j] - minima[2 * i], dy = y[j] - minima[2 * i + 1], there = dx * dx + dy * dy;
                    nearest = there < nearest ? there : nearest;
                }
                square[j] = nearest;
                outside[j] = nearest <= radius * radius ? outside[j] : k;
                int well = fabs(x[j]) <= FARTHEST & fabs(y[j]) <= FARTHEST & f[j] - f[j] == 0;
                gone[j] = !well & gone[j] < 0 & k > 0 ? k : gone[j];
                if (k < steps) {
                    double gx = 4 * a * x[j] + 2 * b, gy = 2 * a + 4 * b * y[j];
                    mx[j] = beta1 * mx[j] + (1 - beta1) * gx;
                    my[j] = beta1 * my[j] + (1 - beta1) * gy;
                    vx[j] = beta2 * vx[j] + (1 - beta2) * gx * gx;
                    vy[j] = beta2 * vy[j] + (1 - beta2) * gy * gy;
                    ux[j] = -lr * (mx[j] * c1) / (sqrt(vx[j] * c2) + eps);
                    uy[j] = -lr * (my[j] * c1) / (sqrt(vy[j] * c2) + eps);
                    x[j] += ux[j];
                    y[j] += uy[j];
                }
            }
        }
        for (int j = 0; j < LANES; j++) {
            int there = gone[j] < 0 && square[j] <= radius * radius
                        && ux[j] * ux[j] + uy[j] * uy[j] <= radius * radius;
            loss[first + j] = gone[j] < 0 ? f[j] : NAN;
            lost[first + j] = gone[j];
            arrived[first + j] = there ? outside[j] + 1 : -1;
            which[first + j] = -1;
            for (int i = 0; there && i < MINIMA; i++) {
                double dx = x[j] - minima[2 * i], dy = y[j] - minima[2 * i + 1];
                if (dx * dx + dy * dy == square[j] || dx * dx + dy * dy <= radius * radius)
                    which[first + j] = i;
            }
        }
    }
    free(unbias_m), free(unbias_v);
}
