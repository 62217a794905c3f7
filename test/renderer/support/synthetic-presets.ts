/** Presets and steering of the synthetic engine. */
import { PatchbayError } from '../../../preload/errors'
import type { PresetEntry } from '../../../preload/api'
import type { ModelDescription } from '../../../preload/model'
import type { Preset } from '../../../preload/preset'
import type { SteerStep } from '../../../preload/views'
import type { Answers } from './synthetic-engine'
import { gauss, noise, syntheticIds, syntheticToken } from './synthetic-model'
import { evidenceOf } from './synthetic-views'

export function syntheticPreset(model: ModelDescription, part: Partial<Preset> = {}): Preset {
  return {
    format: 'patchbay.preset',
    version: 1,
    id: 'happy-stories',
    name: 'Happy stories',
    author: 'Patchbay',
    created: '2025-05-01T12:00:00Z',
    note: 'Turns stories to the cheerful side. Above 2.5 it begins to repeat itself.',
    model: {
      fingerprint: model.fingerprint,
      name: model.name,
      family: model.family,
      tokenizerHash: model.tokenizerHash,
      templateHash: model.templateHash,
    },
    sites: [
      {
        hook: 'blocks.2.hook_resid_post',
        operation: 'add',
        target: 0,
        vector: {
          file: `${'0a'.repeat(32)}.safetensors`,
          sha256: '0a'.repeat(32),
          tensor: 'direction',
          norm: 3.81,
        },
        positions: 'all',
      },
    ],
    strength: { default: 1, minimum: -3, maximum: 3 },
    norm: { policy: 'relative', residualNorm: 14.2 },
    prompting: { bos: 'model', template: 'none' },
    origin: { method: 'mean-difference', pairs: 24, pairsHash: '9c'.repeat(32), position: 'last' },
    example: 'Mary went to the park and',
    ...part,
  }
}

const entry = (preset: Preset, bundled: boolean): PresetEntry => ({
  preset,
  bundled,
  sha256: '77'.repeat(32),
})

/** Steps of a baseline and a steered run that part after the third token. */
export const syntheticSteps = (count: number, strength: number): SteerStep[] =>
  Array.from({ length: count }, (_, step) => {
    const baseline = 4 + Math.floor(noise(step, 1) * 40)
    const steered = step < 3 || strength === 0 ? baseline : 4 + Math.floor(noise(step, 1 + strength) * 40)
    return {
      step,
      baseline: syntheticToken(baseline),
      steered: syntheticToken(step === 5 ? 2 : steered),
      baselineLogProb: Math.log(0.2 + 0.7 * noise(step, 2)),
      steeredLogProb: Math.log(0.2 + 0.7 * noise(step, 3)),
      divergence: Math.abs(strength) * 0.8 * noise(step, 4),
    }
  })

export function presetAnswers(model: ModelDescription): Answers {
  const bundled = [
    entry(syntheticPreset(model), true),
    entry(
      syntheticPreset(model, {
        id: 'no-names',
        name: 'Without names',
        note: '',
        example: null,
        sites: [{ ...syntheticPreset(model).sites[0], operation: 'remove', positions: 'generated' }],
      }),
      true,
    ),
  ]
  const own = [
    entry(
      syntheticPreset(model, {
        id: 'other-model',
        name: 'Formal tone (other model)',
        author: 'a colleague',
        model: { ...syntheticPreset(model).model, fingerprint: '55'.repeat(32), name: 'SmolLM2-135M' },
      }),
      false,
    ),
  ]
  const find = (id: string): PresetEntry => {
    const found = [...bundled, ...own].find(({ preset }) => preset.id === id)
    if (found === undefined) throw new PatchbayError('input.invalid', `There is no preset ${id}.`)
    return found
  }
  return {
    'preset.list': () => ({
      presets: [...bundled, ...own],
      broken: [
        {
          file: 'half-written.json',
          error: {
            code: 'file.malformed',
            message: 'half-written.json ends in the middle of a string.',
            next: 'Restore it from a copy, or delete the file.',
            offset: 812,
          },
        },
      ],
    }),
    'preset.save': ({ preset }) => {
      const at = own.findIndex((e) => e.preset.id === preset.id)
      if (at >= 0) own[at] = entry(preset, false)
      else own.push(entry(preset, false))
      return entry(preset, false)
    },
    'preset.delete': ({ id }) => {
      own.splice(own.indexOf(find(id)), 1)
      return {}
    },
    'preset.export': ({ id }) => ({ name: `${id}.patchbay-preset`, bytes: Uint8Array.of(80, 75) }),
    'preset.import': () => {
      const imported = entry(syntheticPreset(model, { id: 'imported', name: 'Imported' }), false)
      own.push(imported)
      return imported
    },
    'steer.fromPairs': (input, { progress }) => {
      progress({ done: input.pairs.length, total: input.pairs.length })
      const site = { ...syntheticPreset(model).sites[0], hook: input.hook, positions: input.positions }
      const made = entry(
        syntheticPreset(model, {
          id: `own-${own.length}`,
          name: input.name,
          author: input.author,
          note: input.note,
          sites: [site],
          origin: {
            method: 'mean-difference',
            pairs: input.pairs.length,
            pairsHash: null,
            position: input.position,
          },
        }),
        false,
      )
      own.push(made)
      const side = (sign: number) => input.pairs.map((_, i) => sign * 1.4 + gauss(i, sign))
      const [positive, negative] = [side(1), side(-1)]
      return {
        entry: made,
        vectorNorm: 3.1,
        residualNorm: 14.2,
        positive,
        negative,
        accuracy: positive.filter((p, i) => p > negative[i]).length / positive.length,
      }
    },
    'steer.compare': async ({ strength, maxTokens, preset: id, prompt }, { signal, progress }) => {
      find(id)
      const steps = syntheticSteps(maxTokens, strength)
      for (const step of steps) {
        if (signal.aborted) throw new PatchbayError('run.cancelled', 'Cancelled.')
        progress(step)
        await Promise.resolve()
      }
      const text = (side: 'baseline' | 'steered') => steps.map((step) => step[side]?.text ?? '').join('')
      return {
        provenance: evidenceOf(model, [0]).provenance,
        promptTokens: syntheticIds(prompt.kind === 'text' ? prompt.text : 'x').length,
        steps,
        baselineText: text('baseline'),
        steeredText: text('steered'),
        baselineFinish: 'length',
        steeredFinish: 'length',
      }
    },
  }
}
