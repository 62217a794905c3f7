import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { storyworldSettings } from '../../../preload/storyworld'
import { trainStoryworld, type StoryworldRun } from '../../../main/training/storyworld/train'
import { tinyStoryworld } from '../support'

let source: string
let folder: string
beforeAll(() => {
  source = tinyStoryworld()
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-train-'))
})
afterAll(() => {
  rmSync(source, { recursive: true, force: true })
  rmSync(folder, { recursive: true, force: true })
})

const run = (out: string, settings: object, more: Partial<StoryworldRun> = {}): StoryworldRun => ({
  source,
  out: path.join(folder, out),
  settings: storyworldSettings.parse({
    rows: 8,
    columns: 32,
    warmUp: 5,
    rate: 0.01,
    evaluateEvery: null,
    ...settings,
  }),
  resume: false,
  ...more,
})

describe('training storyworld', () => {
  it('learns: the loss falls from that of ignorance', async () => {
    const losses: number[] = []
    await trainStoryworld(run('learns', { steps: 60 }, { onStep: ({ loss }) => losses.push(loss) }))
    const mean = (from: number, to: number): number =>
      losses.slice(from, to).reduce((sum, loss) => sum + loss / (to - from), 0)
    expect(losses[0] / Math.log(1024)).toBeCloseTo(1, 1)
    expect(mean(50, 60)).toBeLessThan(5.4)
    const [head, ...lines] = readFileSync(path.join(folder, 'learns/loss.csv'), 'utf8').trimEnd().split('\n')
    expect(head).toBe('step,loss,rate,gradient_norm')
    expect(lines.map((line) => Number(line.split(',')[1]))).toEqual(losses)
  })

  it('refuses to overwrite a checkpoint, and to resume with other settings', async () => {
    await trainStoryworld(run('kept', { steps: 2 }))
    await expect(trainStoryworld(run('kept', { steps: 2 }))).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(trainStoryworld(run('kept', { steps: 3 }, { resume: true }))).rejects.toMatchObject({
      code: 'model.mismatch',
    })
  })

  it('stops where the loss is no number, and says at which step and in which parameter', async () => {
    const file = path.join(source, 'config.json')
    const before = readFileSync(file, 'utf8')
    const config = JSON.parse(before) as Record<string, unknown>
    writeFileSync(file, JSON.stringify({ ...config, initializer_range: 3e18 }))
    await expect(trainStoryworld(run('blown', { steps: 5 }))).rejects.toMatchObject({
      code: 'run.failed',
      field: expect.stringMatching(/^model\./) as string,
      message: expect.stringMatching(
        /^The loss is NaN at step 0; first in model\.\S+\. There is no checkpoint yet\.$/,
      ) as string,
    })
    writeFileSync(file, before)
  })
})
