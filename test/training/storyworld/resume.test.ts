/** A training run that is killed, in a process of its own, and resumed. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build } from 'vite'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { storyworld as source } from '../support'

const root = path.join(import.meta.dirname, '../../..')
const script = path.join(root, `dist/test/train-child-${process.pid}.js`)
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-resume-'))
  const result = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    ssr: { noExternal: true, external: ['onnxruntime-node'] },
    build: {
      ssr: path.join(import.meta.dirname, 'train-child.ts'),
      write: false,
      target: 'node20',
      minify: false,
      rolldownOptions: { output: { format: 'es', codeSplitting: false } },
    },
  })
  const chunk = [result].flat().flatMap((each) => ('output' in each ? each.output : []))[0]
  if (chunk.type !== 'chunk') throw new Error('The training script did not become one file.')
  await mkdir(path.dirname(script), { recursive: true })
  await writeFile(script, chunk.code)
}, 60_000)
afterAll(async () => {
  await rm(script, { force: true })
  rmSync(folder, { recursive: true, force: true })
})

/** Runs the child; kills it for good where `waitBehind` is given and reached. Returns the steps that it said. */
function train(
  out: string,
  steps: number,
  waitBehind?: number,
): Promise<{ steps: number[]; killed: boolean }> {
  return new Promise((resolve, reject) => {
    const more = waitBehind === undefined ? [] : [String(waitBehind)]
    const child = spawn(process.execPath, [script, source, path.join(folder, out), String(steps), ...more])
    let said = ''
    let complaints = ''
    const stepsSaid = (): number[] => [...said.matchAll(/^step (\d+)$/gm)].map(([, step]) => Number(step))
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString()
      if (stepsSaid().at(-1) === waitBehind) child.kill('SIGKILL')
    })
    child.stderr.on('data', (text: Buffer) => (complaints += text.toString()))
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0 || signal === 'SIGKILL') resolve({ steps: stepsSaid(), killed: signal === 'SIGKILL' })
      else reject(new Error(complaints))
    })
  })
}

const file = (out: string, name: string): Buffer => readFileSync(path.join(folder, out, name))

describe('training that is killed at step 120 of 200 and resumed', () => {
  it('ends with the same weights, curve and checkpoint, bit for bit, as training that was not', async () => {
    const whole = await train('whole', 200)
    expect(whole).toMatchObject({ killed: false, steps: { length: 200 } })
    const first = await train('killed', 200, 119)
    expect(first.killed).toBe(true)
    const second = await train('killed', 200)
    // The last checkpoint was that of step 100: twenty steps are done again.
    expect(second.steps).toEqual(Array.from({ length: 100 }, (_, i) => 100 + i))
    for (const name of [
      'model/model.safetensors',
      'checkpoint.safetensors',
      'loss.csv',
      'loss.json',
      'accuracy.json',
    ])
      expect([name, file('killed', name).equals(file('whole', name))]).toEqual([name, true])
  })

  it('leaves a model folder that opens like any other', async () => {
    const checkpoint = await openCheckpoint(path.join(folder, 'whole/model'))
    expect(checkpoint.tensors.get('model.embed_tokens.weight')?.shape).toEqual([1024, 128])
    await checkpoint.close()
  })

  it('has nothing left to do when it is resumed behind its last step', async () => {
    expect(await train('whole', 200)).toEqual({ steps: [], killed: false })
  })
})
