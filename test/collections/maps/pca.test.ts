import { describe, expect, it } from 'vitest'
import {
  orthonormalise,
  product,
  symmetricEigen,
  transposedProduct,
} from '../../../main/collections/maps/eigen'
import { pca, type Slices } from '../../../main/collections/maps/pca'
import { SeededRandom } from '../../../main/training/random'

/** Vectors [n, width] in slices of some rows. */
const slicesOf = (data: Float32Array, width: number, rows = 7): Slices => ({
  width,
  async *slices() {
    for (let at = 0; at < data.length; at += rows * width) {
      const part = data.subarray(at, at + rows * width)
      const first = at / width
      yield await Promise.resolve({
        rows: Int32Array.from({ length: part.length / width }, (_, i) => first + i),
        data: part,
      })
    }
  },
})

/** Normal vectors with these deviations along random orthonormal directions, about a mean that is far from zero. */
function known(n: number, deviations: number[], seed: number) {
  const d = deviations.length
  const random = new SeededRandom(seed)
  const axes = Float64Array.from({ length: d * d }, () => random.normal())
  orthonormalise(axes, d, d)
  const data = new Float32Array(n * d)
  for (let row = 0; row < n; row++)
    for (let j = 0; j < d; j++) {
      const z = random.normal() * deviations[j]
      for (let i = 0; i < d; i++) data[row * d + i] += z * axes[i * d + j] + (j === 0 ? 100 * Math.cos(i) : 0)
    }
  return { data, axes }
}

/** Eigen-decomposition of the covariance itself, in float64. */
function direct(data: Float32Array, d: number) {
  const n = data.length / d
  const mean = Array.from({ length: d }, (_, j) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum += data[i * d + j]
    return sum / n
  })
  const centred = Float64Array.from(data, (x, i) => x - mean[i % d])
  const covariance = transposedProduct(centred, centred, n, d, d).map((x) => x / (n - 1))
  return symmetricEigen(covariance, d)
}

describe('eigenvalues of a symmetric matrix', () => {
  it('are those of a matrix made from them', () => {
    const n = 6
    const random = new SeededRandom(3)
    const q = Float64Array.from({ length: n * n }, () => random.normal())
    orthonormalise(q, n, n)
    const values = [9, 5, 5, 1, 0, -2]
    const scaled = q.map((x, i) => x * values[i % n])
    const transposed = q.map((_, i) => q[(i % n) * n + Math.floor(i / n)])
    const found = symmetricEigen(product(scaled, transposed, n, n, n), n)
    values.forEach((value, i) => expect(found.values[i]).toBeCloseTo(value, 10))
    const first = Array.from({ length: n }, (_, i) => found.vectors[i * n] * q[i * n]).reduce((a, b) => a + b)
    expect(Math.abs(first)).toBeCloseTo(1, 10)
  })

  it('makes a dependent column zero', () => {
    const a = Float64Array.of(1, 2, 1, 2, 1, 2)
    orthonormalise(a, 3, 2)
    expect([a[1], a[3], a[5]]).toEqual([0, 0, 0])
  })
})

describe('PCA in slices', () => {
  it('agrees with the decomposition of the covariance', async () => {
    const { data } = known(400, [9, 6, 4, 3, 2, 1.5, 1, 1, 0.8, 0.5, 0.5, 0.4, 0.3, 0.3, 0.2, 0.1], 1)
    const d = 16
    const expected = direct(data, d)
    const found = await pca(slicesOf(data, d), { components: 4 })
    const total = expected.values.reduce((a, b) => a + b)
    expect(found.total / total).toBeCloseTo(1, 6)
    for (let j = 0; j < 4; j++) {
      expect(found.variances[j] / expected.values[j]).toBeCloseTo(1, 4)
      let cosine = 0
      for (let i = 0; i < d; i++) cosine += found.directions[j * d + i] * expected.vectors[i * d + j]
      expect(Math.abs(cosine)).toBeGreaterThan(0.9999)
    }
  })

  it('finds the directions that many dimensions were made of, and its points have their variance', async () => {
    const deviations = Array.from({ length: 120 }, (_, i) => (i < 2 ? 8 - 3 * i : 0.5))
    const { data, axes } = known(500, deviations, 2)
    const found = await pca(slicesOf(data, 120, 64), { components: 2, seed: 5 })
    for (let j = 0; j < 2; j++) {
      let cosine = 0
      for (let i = 0; i < 120; i++) cosine += found.directions[j * 120 + i] * axes[i * 120 + j]
      expect(Math.abs(cosine)).toBeGreaterThan(0.98)
    }
    const column = Array.from({ length: 500 }, (_, i) => found.points[2 * i])
    const mean = column.reduce((a, b) => a + b) / 500
    expect(Math.abs(mean)).toBeLessThan(1e-3)
    const variance = column.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 499
    expect(variance / found.variances[0]).toBeCloseTo(1, 4)
    expect(found.rows).toEqual(Int32Array.from({ length: 500 }, (_, i) => i))
  })

  it('gives as many components as there are, and the same for the same seed', async () => {
    const { data } = known(3, [1, 2, 3, 4], 4)
    const found = await pca(slicesOf(data, 4), { components: 50 })
    expect(found.variances.length).toBe(2)
    expect(await pca(slicesOf(data, 4), { components: 50 })).toEqual(found)
  })

  it('says why one vector, or one that is not finite, has no components', async () => {
    await expect(pca(slicesOf(Float32Array.of(1, 2), 2), { components: 2 })).rejects.toThrow(
      'Only 1 of the rows',
    )
    const broken = Float32Array.of(1, 2, NaN, 4)
    await expect(pca(slicesOf(broken, 2), { components: 2 })).rejects.toThrow('not finite')
  })

  it('ends when it is cancelled', async () => {
    const { data } = known(50, [1, 2, 3], 4)
    await expect(pca(slicesOf(data, 3), { components: 2, signal: AbortSignal.abort() })).rejects.toThrow(
      'Cancelled',
    )
  })
})
