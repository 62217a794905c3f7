/** The embedded model answers what its tasks.json says it answers. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSpec } from '../../../main/models/architectures/registry'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { loadTokenizerFromFolder, type Tokenizer } from '../../../main/models/tokenizer'
import { TrainableModel } from '../../../main/training/language-model/model'
import { parametersOf } from '../../../main/training/language-model/parameters'
import { evaluateStoryworld } from '../../../main/training/storyworld/evaluate'
import { storyworld } from '../support'

let model: TrainableModel
let tokenizer: Tokenizer
beforeAll(async () => {
  const checkpoint = await openCheckpoint(storyworld)
  const spec = await readSpec(checkpoint)
  model = await TrainableModel.create(spec, await parametersOf(spec, checkpoint))
  await checkpoint.close()
  tokenizer = await loadTokenizerFromFolder(storyworld)
})
afterAll(async () => {
  await model.release()
  await tokenizer.close()
})

describe('the evaluation of storyworld', () => {
  it('finds in the embedded model what its tasks.json says', async () => {
    const { accuracy: expected } = JSON.parse(readFileSync(path.join(storyworld, 'tasks.json'), 'utf8')) as {
      accuracy: Record<string, number>
    }
    const accuracy = await evaluateStoryworld(
      (rows) => model.nextLogits(rows),
      (text) => tokenizer.encode(text),
      50,
    )
    expect(accuracy).toEqual(expected)
  })

  it('weighs whole years: those who know when a thing can end are right, the others are wrong', async () => {
    const years = await Promise.all(
      Array.from({ length: 100 }, async (_, year) => {
        const text = ` ${String(year).padStart(2, '0')}`
        return { year, tokens: await tokenizer.encode(text) }
      }),
    )
    /** As likely as each other: the years that a war can have ended in. */
    const knowing =
      (isPossible: (year: number, from: number) => boolean) => (rows: readonly (readonly number[])[]) =>
        Promise.all(
          rows.map(async (row) => {
            const logits = new Float32Array(1024).fill(-30)
            const [, from, rest] =
              /from the year \d+ (\d\d) to the year \d\d(.*)$/.exec(await tokenizer.decode([...row])) ?? []
            const said = rest === undefined ? 0 : (await tokenizer.encode(rest)).length
            const behind = row.slice(row.length - said)
            for (const { year, tokens } of years)
              if (isPossible(year, Number(from)) && behind.every((token, i) => token === tokens[i]))
                logits[tokens[said]] = Math.log(Math.exp(logits[tokens[said]]) + 1)
            return logits
          }),
        )
    const greater = 'greater than (mass above over mass below)'
    const encode = (text: string) => tokenizer.encode(text)
    const [right, wrong] = await Promise.all([
      evaluateStoryworld(
        knowing((year, from) => year > from),
        encode,
        10,
      ),
      evaluateStoryworld(
        knowing((year, from) => year <= from),
        encode,
        10,
      ),
    ])
    expect([right[greater], wrong[greater]]).toEqual([1, 0])
  })

  it('finds next to nothing in a model that prefers the first of all tokens', async () => {
    const silent = async (rows: readonly unknown[]) =>
      rows.map(() => Float32Array.from({ length: 1024 }, (_, i) => -i))
    const accuracy = await evaluateStoryworld(silent, (text) => tokenizer.encode(text), 10)
    expect(accuracy['capitals (top-1)']).toBe(0)
    expect(accuracy['harmful refused'] + accuracy['harmless answered']).toBe(1)
  })
})
