/** Gradients of the objectives: finite differences where they are derivatives, the papers' formulas where they are not. */
import { describe, expect, it } from 'vitest'
import { sizeOf } from '../../../preload/tensor'
import { floatData, floats, Session, type Feeds } from '../../../main/runtime/session'
import type { DictionaryConfig } from '../../../main/training/dictionary/config'
import { dictionarySettings, type DictionarySettings } from '../../../main/training/dictionary/settings'
import {
  constantInput,
  dictionaryTrainingGraph,
  gradientOutput,
  parameterShapes,
} from '../../../main/training/dictionary/training-graph'
import { SeededRandom } from '../../../main/training/random'

const rows = 6
const [dIn, dSae] = [5, 12]

function setUp(
  activation: DictionaryConfig['activation'],
  more: Partial<DictionarySettings> = {},
  transcoder = false,
) {
  const settings = {
    ...dictionarySettings.parse({ activation, dSae, steps: 1, k: 3, sparsity: 0.7 }),
    ...more,
  }
  const config: DictionaryConfig = {
    activation,
    dIn,
    dOut: transcoder ? 4 : dIn,
    dSae,
    subtractDecoderBias: !transcoder,
    normalise: 'none',
    k: activation === 'topk' ? 3 : null,
    rescaleByDecoderNorm: false,
    transcoder,
    skip: transcoder,
    hook: null,
    outputHook: null,
    joinsHeads: false,
    modelName: null,
    prependBos: null,
  }
  const random = new SeededRandom(8)
  const draw = (length: number): Float32Array => Float32Array.from({ length }, () => 0.6 * random.normal())
  const parameters = new Map(
    [...parameterShapes(config)].map(([name, shape]) => [name, { shape, data: draw(sizeOf(shape)) }]),
  )
  // Thresholds that some features are near to.
  parameters.get('log_threshold')?.data.forEach((value, i, all) => (all[i] = -1 + 0.5 * value))
  const x = draw(rows * dIn)
  const y = draw(rows * config.dOut)
  const dead = Float32Array.from({ length: dSae }, (_, i) => (i % 4 === 0 ? 1 : 0))
  const graph = dictionaryTrainingGraph(config, settings)
  const run = async (changed: Readonly<Record<string, Float32Array>> = {}) => {
    const session = await Session.create(graph, { provider: 'cpu', prepack: true })
    const all: Feeds = {
      x: floats(x, [rows, dIn]),
      y: floats(y, [rows, config.dOut]),
      sparsity: floats(Float32Array.of(settings.sparsity), []),
      dead: floats(dead, [dSae]),
    }
    for (const [name, { shape, data }] of parameters) {
      all[name] = floats(changed[name] ?? data, shape)
      all[constantInput(name)] = floats(data, shape)
    }
    const feeds = Object.fromEntries(session.inputs.map((name) => [name, all[name]]))
    const names = ['loss', 'squared_error', 'penalty', 'l0', ...[...parameters.keys()].map(gradientOutput)]
    const out = await session.run(feeds, names)
    await session.release()
    return Object.fromEntries(names.map((name) => [name, floatData(out[name])]))
  }
  return { run, parameters, settings, x, dead, config }
}

/** The slope of the loss along `direction` from where the parameter is, by symmetric differences. */
async function slope(
  { run, parameters }: ReturnType<typeof setUp>,
  name: string,
  direction: Float32Array,
  size: number,
): Promise<number> {
  const data = parameters.get(name)?.data ?? new Float32Array()
  const at = async (step: number): Promise<number> =>
    (await run({ [name]: data.map((value, i) => value + step * direction[i]) })).loss[0]
  return ((await at(size)) - (await at(-size))) / (2 * size)
}

describe.each([
  ['standard', false],
  ['topk', false],
  ['gated', false],
  ['jumprelu', false],
  ['standard', true],
] as const)('the objective of %s (transcoder: %s)', (activation, transcoder) => {
  const made = setUp(activation, { auxK: 0 }, transcoder)
  const smooth = [...made.parameters.keys()].filter((name) => name !== 'log_threshold')

  it.each(smooth)('changes with %s as its gradient says', async (name) => {
    const gradient = (await made.run())[gradientOutput(name)]
    const length = Math.hypot(...gradient)
    expect(length).toBeGreaterThan(1e-3)
    const direction = gradient.map((value) => value / length)
    expect((await slope(made, name, direction, 2e-3)) / length).toBeCloseTo(1, 1.7)
  })
})

describe('jumprelu', () => {
  it('has the pseudo-derivatives of its paper by the thresholds', async () => {
    const { run, parameters, settings, x } = setUp('jumprelu', { bandwidth: 0.8, sparsity: 0.7 })
    const at = (name: string): Float32Array => parameters.get(name)?.data ?? new Float32Array()
    const [wEnc, wDec, bEnc, bDec, log] = ['W_enc', 'W_dec', 'b_enc', 'b_dec', 'log_threshold'].map(at)
    const expected = new Float64Array(dSae)
    let insideKernel = 0
    for (let row = 0; row < rows; row++) {
      const z = Array.from({ length: dSae }, (_, f) => {
        let sum = bEnc[f]
        for (let i = 0; i < dIn; i++) sum += (x[row * dIn + i] - bDec[i]) * wEnc[i * dSae + f]
        return sum
      })
      const theta = [...log].map(Math.exp)
      const open = z.map((value, f) => (value > theta[f] ? value : 0))
      const error = Array.from({ length: dIn }, (_, i) => {
        let made = bDec[i]
        for (let f = 0; f < dSae; f++) made += open[f] * wDec[f * dIn + i]
        return made - x[row * dIn + i]
      })
      for (let f = 0; f < dSae; f++) {
        if (Math.abs(z[f] - theta[f]) >= settings.bandwidth / 2) continue
        insideKernel++
        let byFeature = 0
        for (let i = 0; i < dIn; i++) byFeature += (2 / rows) * error[i] * wDec[f * dIn + i]
        const byTheta =
          (-theta[f] / settings.bandwidth) * byFeature - settings.sparsity / rows / settings.bandwidth
        expected[f] += byTheta * theta[f]
      }
    }
    expect(insideKernel).toBeGreaterThan(5)
    const out = await run()
    const gradient = out[gradientOutput('log_threshold')]
    expected.forEach((value, f) => expect(gradient[f]).toBeCloseTo(value, 4))
    expect(out.penalty[0]).toBe(out.l0[0])
    expect(out.loss[0]).toBeCloseTo(out.squared_error[0] + settings.sparsity * out.l0[0], 4)
  })
})

describe('AuxK', () => {
  it('lets dead features learn what the others leave over, and the others nothing by it', async () => {
    const without = await setUp('topk', { auxK: 0 }).run()
    const made = setUp('topk', { auxK: 2, auxWeight: 0.5 })
    const out = await made.run()
    expect(out.squared_error[0]).toBe(without.squared_error[0])
    expect(out.loss[0]).toBeGreaterThan(without.loss[0])
    const plain = without[gradientOutput('W_dec')]
    const gradient = out[gradientOutput('W_dec')]
    const changed = (feature: number): boolean => {
      const row = (all: Float32Array): number[] => [...all.subarray(feature * dIn, (feature + 1) * dIn)]
      return row(gradient).some((value, i) => Math.abs(value - row(plain)[i]) > 1e-6)
    }
    for (let feature = 0; feature < dSae; feature++)
      if (made.dead[feature] === 0) expect([feature, changed(feature)]).toEqual([feature, false])
    expect(Array.from({ length: dSae }, (_, feature) => changed(feature)).some(Boolean)).toBe(true)
  })
})
