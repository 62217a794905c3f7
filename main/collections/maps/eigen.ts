/** Small dense linear algebra in float64, row-major: what the subspace iteration of a PCA needs. */

/**
 * Eigenvalues, largest first, and eigenvectors of a symmetric matrix [n, n], by Jacobi's cyclic rotations (Golub and Van Loan
 * 1996, section 8.4). `a` is overwritten. Column j of `vectors` [n, n] belongs to value j.
 */
export function symmetricEigen(a: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  const v = new Float64Array(n * n)
  for (let i = 0; i < n; i++) v[i * n + i] = 1
  const scale = a.reduce((sum, x) => sum + x * x, 0)
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p * n + q] ** 2
    if (off <= 1e-30 * scale) break
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, n, p, q)
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j] - a[i * n + i])
  const vectors = new Float64Array(n * n)
  for (const [to, from] of order.entries()) for (let i = 0; i < n; i++) vectors[i * n + to] = v[i * n + from]
  return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors }
}

/** Makes a[p, q] zero. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q]
  if (apq === 0) return
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq)
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
  const c = 1 / Math.sqrt(t * t + 1)
  const s = t * c
  for (let k = 0; k < n; k++) {
    const x = a[k * n + p]
    const y = a[k * n + q]
    a[k * n + p] = c * x - s * y
    a[k * n + q] = s * x + c * y
  }
  for (let k = 0; k < n; k++) {
    const x = a[p * n + k]
    const y = a[q * n + k]
    a[p * n + k] = c * x - s * y
    a[q * n + k] = s * x + c * y
    const left = v[k * n + p]
    const right = v[k * n + q]
    v[k * n + p] = c * left - s * right
    v[k * n + q] = s * left + c * right
  }
}

/**
 * Makes the columns of a [rows, columns] orthonormal in place, by Gram and Schmidt's process done twice (Giraud and others
 * 2005). A column that depends on those before it becomes zero.
 */
export function orthonormalise(a: Float64Array, rows: number, columns: number): void {
  for (let j = 0; j < columns; j++) {
    const before = columnNorm(a, rows, columns, j)
    for (let pass = 0; pass < 2; pass++)
      for (let k = 0; k < j; k++) {
        let product = 0
        for (let i = 0; i < rows; i++) product += a[i * columns + k] * a[i * columns + j]
        for (let i = 0; i < rows; i++) a[i * columns + j] -= product * a[i * columns + k]
      }
    const norm = columnNorm(a, rows, columns, j)
    const inverse = norm > 1e-12 * before ? 1 / norm : 0
    for (let i = 0; i < rows; i++) a[i * columns + j] *= inverse
  }
}

function columnNorm(a: Float64Array, rows: number, columns: number, j: number): number {
  let sum = 0
  for (let i = 0; i < rows; i++) sum += a[i * columns + j] ** 2
  return Math.sqrt(sum)
}

/** aᵀ b of a [rows, m] and b [rows, n]: [m, n]. */
export function transposedProduct(
  a: Float64Array,
  b: Float64Array,
  rows: number,
  m: number,
  n: number,
): Float64Array {
  const out = new Float64Array(m * n)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < m; j++) {
      const x = a[i * m + j]
      for (let k = 0; k < n; k++) out[j * n + k] += x * b[i * n + k]
    }
  return out
}

/** a b of a [m, k] and b [k, n]: [m, n]. */
export function product(a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array {
  const out = new Float64Array(m * n)
  for (let i = 0; i < m; i++)
    for (let l = 0; l < k; l++) {
      const x = a[i * k + l]
      for (let j = 0; j < n; j++) out[i * n + j] += x * b[l * n + j]
    }
  return out
}
