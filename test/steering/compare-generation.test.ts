import { describe, expect, it } from 'vitest'
import { applyPreset } from '../../main/steering/apply'
import { compareGeneration, type SteerComparison } from '../../main/steering/compare-generation'
import { meanDifference } from '../../main/steering/vectors'
import { requestHash } from '../../main/cache/key'
import type { SteerStep } from '../../preload/views'
import { steerResult } from '../../preload/views'
import { generateRequest, runRequest, sampling, type GenerateInput } from '../../preload/run'
import type { Tensor } from '../../preload/tensor'
import { klOf, logSoftmax, NaiveModel } from '../analysis/naive-model'
import { examplePreset } from './presets'

/** Far more than a preset would use: whatever the weights, it changes what is said. */
const strong = 30
const model = new NaiveModel()
const text = 'I saw the play yesterday. It was'
const side = (word: string) => ({
  tokens: model.ids(`I watched the film. The acting was ${word}. I`),
  skip: 0,
})
const direction = await meanDifference(
  model,
  'blocks.1.hook_resid_post',
  [{ positive: side('lovely'), negative: side('awful') }],
  'last',
)
const vector: Tensor = { shape: [128], data: direction.vector }

const comparison = (changes: Partial<SteerComparison> = {}): SteerComparison => ({
  prompt: { kind: 'text', text, bos: 'model' },
  preset: examplePreset(),
  vectorOf: () => vector,
  strength: strong,
  sampling: sampling.parse({}),
  maxTokens: 4,
  stop: [],
  ...changes,
})

/** What a plain generation of one row says. */
async function alone(
  steering: Pick<GenerateInput['request'], 'interventions'>,
  tensors: Record<string, Tensor> = {},
) {
  const request = generateRequest.parse({
    model: model.facts.fingerprint,
    rows: [{ tokens: model.ids(text) }],
    maxTokens: 4,
    ...steering,
  })
  return (await model.generate({ request, tensors })).rows[0].text
}

describe('compareGeneration', () => {
  it('gives both continuations as they would be alone', async () => {
    const { interventions, tensors } = applyPreset(model, examplePreset(), strong, () => vector)
    const result = await compareGeneration(model, comparison())
    expect(steerResult.safeParse(result).error).toBeUndefined()
    expect(result.baselineText).toBe(await alone({ interventions: [] }))
    expect(result.steeredText).toBe(await alone({ interventions }, tensors))
    expect(result.steeredText).not.toBe(result.baselineText)
    expect(result).toMatchObject({
      promptTokens: model.ids(text).length,
      baselineFinish: 'length',
      steeredFinish: 'length',
    })
  })

  it('reports every step as it comes, the same steps as in the result', async () => {
    const seen: SteerStep[] = []
    const { steps } = await compareGeneration(model, comparison(), { onStep: (step) => seen.push(step) })
    expect(seen).toEqual(steps)
    expect(steps.map(({ step }) => step)).toEqual([0, 1, 2, 3])
    expect(steps.map(({ steered }) => steered?.text ?? '').join('')).toBe(
      (await compareGeneration(model, comparison())).steeredText,
    )
  })

  it('measures how far steering moves the distribution, and how likely each row finds its token', async () => {
    const { interventions, tensors } = applyPreset(model, examplePreset(), strong, () => vector)
    const distribution = async (input: Pick<GenerateInput['request'], 'interventions'>) => {
      const request = runRequest.parse({ model: model.facts.fingerprint, rows: [model.ids(text)], ...input })
      const { logits } = await model.run({ request, tensors })
      return logSoftmax(Float64Array.from(logits?.data ?? []))
    }
    const [plain, steered] = [
      await distribution({ interventions: [] }),
      await distribution({ interventions }),
    ]
    const { steps } = await compareGeneration(model, comparison())
    expect(steps[0].divergence).toBeCloseTo(klOf(steered, plain), 4)
    expect(steps[0].baselineLogProb).toBeCloseTo(plain[steps[0].baseline?.id ?? -1], 4)
    expect(steps[0].steeredLogProb).toBeCloseTo(steered[steps[0].steered?.id ?? -1], 4)
    const weak = await compareGeneration(model, comparison({ strength: 0.01 }))
    expect(weak.steps[0].divergence ?? NaN).toBeLessThan((steps[0].divergence ?? NaN) / 100)
  })

  it('says the same twice and diverges nowhere at strength 0', async () => {
    const { steps, steeredText, baselineText } = await compareGeneration(model, comparison({ strength: 0 }))
    expect(steeredText).toBe(baselineText)
    for (const step of steps) {
      expect(step.divergence).toBeCloseTo(0, 12)
      expect(step.steered).toEqual(step.baseline)
      expect(step.steeredLogProb).toBe(step.baselineLogProb)
    }
  })

  it('shows nothing for a row that has ended, while the other goes on', async () => {
    const prompt = {
      kind: 'text',
      text: 'I watched the film last night. The acting was lovely and the music was great. I loved it',
      bos: 'model',
    } as const
    const result = await compareGeneration(model, comparison({ prompt, maxTokens: 4, strength: -strong }))
    const ended = result.steps.findIndex(({ baseline }) => baseline === null)
    expect(result.baselineFinish).toBe('eos')
    expect(ended).toBeGreaterThan(0)
    expect(result.steps[ended]).toMatchObject({ baseline: null, baselineLogProb: null })
    expect(result.steps[ended].steered).not.toBeNull()
  })

  it('hands over one request with three rows, and states its hash', async () => {
    const inputs: GenerateInput[] = []
    const watched = Object.assign(new NaiveModel(), {
      generate: (input: GenerateInput, options: Parameters<NaiveModel['generate']>[1]) => {
        inputs.push(input)
        return model.generate(input, options)
      },
    })
    const given = sampling.parse({ temperature: 0.5, seed: 11 })
    const { provenance } = await compareGeneration(watched, comparison({ sampling: given, stop: ['!'] }))
    expect(inputs).toHaveLength(1)
    expect(inputs[0].request).toMatchObject({ sampling: given, stop: ['!'], klPairs: [[1, 2]], maxTokens: 4 })
    expect(inputs[0].request.rows.map(({ follow }) => follow)).toEqual([undefined, undefined, 1])
    expect(inputs[0].request.interventions.map(({ rows }) => rows)).toEqual([[1]])
    expect(provenance.requestHash).toBe(requestHash(inputs[0]))
  })

  it('generates nothing with a preset of another model', async () => {
    const preset = examplePreset({ model: { ...examplePreset().model, fingerprint: '6'.repeat(64) } })
    await expect(compareGeneration(model, comparison({ preset }))).rejects.toMatchObject({
      code: 'model.mismatch',
    })
  })
})
