/** Runs graphs and compares the gradients that are built for them with differences of what they compute. */
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect } from 'vitest'
import { GraphBuilder } from '../../../main/onnx/builder'
import type { Dim, DType, Value } from '../../../main/onnx/graph'
import { gradients, prune } from '../../../main/onnx/gradient'
import { serialise } from '../../../main/onnx/serialise'

export interface Fed {
  readonly shape: readonly number[]
  readonly data: readonly number[]
  readonly dtype?: 'float32' | 'int64' | 'int32' | 'uint8' | 'bool'
  /** As the graph declares it, where that says less than `shape`. */
  readonly dims?: readonly Dim[]
}

export const size = (shape: readonly number[]): number => shape.reduce((total, dim) => total * dim, 1)

/** Numbers between −2 and 2 that look random and are the same in every run. */
export function numbers(shape: readonly number[], seed = 1): Fed {
  let state = seed * 2654435761
  const data = Array.from({ length: size(shape) }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0
    return ((state >>> 8) / 2 ** 24) * 4 - 2
  })
  return { shape, data }
}

export const integers = (shape: readonly number[], data: readonly number[]): Fed => ({
  shape,
  data,
  dtype: 'int64',
})

export function tensor({ shape, data, dtype = 'float32' }: Fed): Tensor {
  const dims = [...shape]
  switch (dtype) {
    case 'float32':
      return new Tensor('float32', Float32Array.from(data), dims)
    case 'int64':
      return new Tensor('int64', BigInt64Array.from(data, BigInt), dims)
    case 'int32':
      return new Tensor('int32', Int32Array.from(data), dims)
    case 'uint8':
      return new Tensor('uint8', Uint8Array.from(data), dims)
    case 'bool':
      return new Tensor('bool', Uint8Array.from(data), dims)
  }
}

export interface Result {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

/** Runs a graph once; values by output name. */
export async function run(g: GraphBuilder, feeds: Record<string, Tensor>): Promise<Record<string, Result>> {
  const session = await InferenceSession.create(serialise(prune(g.finish())), { logSeverityLevel: 3 })
  try {
    const out = await session.run(feeds)
    return Object.fromEntries(
      Object.entries(out).map(([name, { dims, data }]) => [
        name,
        { shape: dims, data: Array.from(data as Float32Array, Number) },
      ]),
    )
  } finally {
    await session.release()
  }
}

type Build = (g: GraphBuilder, inputs: Record<string, Value>) => Value | readonly Value[]

export interface Check {
  readonly build: Build
  readonly feeds: Record<string, Fed>
  /** Inputs whose gradients are compared; unless given, all floats. */
  readonly targets?: readonly string[]
  /**
   * Largest difference from the difference quotient, relative to the gradient's largest element. A float32 result is
   * exact to 6e-8 of its size, which a step of 1/64 magnifies to about 1e-5 of it, and the quotient's own error grows with
   * the step's square and the third derivative: 5e-3 sees every wrong term and factor. Functions that are linear in each
   * input are exact with any step.
   */
  readonly tolerance?: number
  readonly step?: number
}

const declare = (g: GraphBuilder, feeds: Record<string, Fed>): Record<string, Value> =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { shape, dtype = 'float32', dims }]) => [
      name,
      g.input(name, dtype satisfies DType, dims ?? shape),
    ]),
  )

const listed = (values: Value | readonly Value[]): readonly Value[] =>
  Array.isArray(values) ? (values as readonly Value[]) : [values as Value]

/**
 * Compares, for a metric Σ w ⊙ y with fixed w, each input's gradient with central differences. All shifted inputs of one
 * graph run in one session.
 */
export async function checkGradients(check: Check): Promise<void> {
  const { build, feeds, tolerance = 5e-3, step = 1 / 64 } = check
  const targets =
    check.targets ?? Object.keys(feeds).filter((name) => (feeds[name].dtype ?? 'float32') === 'float32')
  const plain = new GraphBuilder('forward')
  listed(build(plain, declare(plain, feeds))).forEach((y, i) => plain.output(y, `y${i}`))
  const session = await InferenceSession.create(serialise(plain.finish()), { logSeverityLevel: 3 })
  const base = Object.fromEntries(Object.entries(feeds).map(([name, fed]) => [name, tensor(fed)]))
  const at = await outputsOf(session, base)
  const weights = at.map(({ shape }, i) => numbers(shape, 100 + i))
  const found = await gradientsOf(check, weights, at, base, targets)
  for (const name of targets) {
    expect([name, found[name].shape]).toEqual([name, feeds[name].shape])
    const quotients = await quotientsOf(session, base, name, feeds[name], weights, step)
    const got = found[name].data
    const compared = looked(got.length).map((i) => got[i])
    expectClose(name, compared, quotients, tolerance)
  }
  await session.release()
}

/** All outputs of a session, in its order. */
export async function outputsOf(session: InferenceSession, feeds: Record<string, Tensor>): Promise<Result[]> {
  const out = await session.run(feeds)
  return session.outputNames.map((name) => ({
    shape: out[name].dims,
    data: Array.from(out[name].data as Float32Array, Number),
  }))
}

/** Which elements are compared: all of few, else some from everywhere. */
export const looked = (count: number): number[] =>
  Array.from({ length: Math.min(count, MOST) }, (_, i) => (count <= MOST ? i : (i * 37) % count))
const MOST = 32

/** Central differences of Σ weights ⊙ outputs by the elements of the input `name` that are compared. */
export async function quotientsOf(
  session: InferenceSession,
  base: Record<string, Tensor>,
  name: string,
  { shape, data }: Fed,
  weights: readonly Fed[],
  step: number,
): Promise<number[]> {
  const metric = async (index: number, by: number): Promise<number> => {
    const shifted = tensor({ shape, data: data.map((value, i) => (i === index ? value + by : value)) })
    const results = await outputsOf(session, { ...base, [name]: shifted })
    return results.reduce(
      (sum, result, i) => sum + result.data.reduce((part, value, j) => part + value * weights[i].data[j], 0),
      0,
    )
  }
  const quotients: number[] = []
  for (const i of looked(data.length))
    quotients.push(((await metric(i, step)) - (await metric(i, -step))) / (2 * step))
  return quotients
}

async function gradientsOf(
  { build, feeds }: Check,
  weights: readonly Fed[],
  at: readonly Result[],
  base: Record<string, Tensor>,
  targets: readonly string[],
): Promise<Record<string, Result>> {
  const g = new GraphBuilder('gradient')
  const inputs = declare(g, feeds)
  const ys = listed(build(g, inputs))
  const cotangents = new Map(
    ys.map((y, i) => [
      y,
      g.input(`w${i}`, 'float32', y.shape.length === at[i].shape.length ? y.shape : at[i].shape),
    ]),
  )
  const by = gradients(
    g,
    cotangents,
    targets.map((name) => inputs[name]),
  )
  for (const name of targets) {
    const gradient = by.get(inputs[name])
    if (gradient === undefined) throw new Error(`no gradient by ${name}`)
    g.output(gradient, `d_${name}`)
  }
  const fed = Object.fromEntries(weights.map((weight, i) => [`w${i}`, tensor(weight)]))
  const out = await run(g, { ...base, ...fed })
  return Object.fromEntries(targets.map((name) => [name, out[`d_${name}`]]))
}

export function expectClose(
  name: string,
  got: readonly number[],
  want: readonly number[],
  tolerance: number,
): void {
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3)
  const worst = got.reduce((most, value, i) => {
    const error = Math.abs(value - want[i]) / largest
    return Number.isNaN(error) ? Infinity : Math.max(most, error)
  }, 0)
  if (worst > tolerance || got.length !== want.length)
    expect({ name, worst, got: got.slice(0, 40) }).toEqual({
      name,
      worst: `at most ${tolerance}`,
      got: want.slice(0, 40),
    })
}
