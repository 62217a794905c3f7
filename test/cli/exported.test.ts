/** Graphs that somebody else exported, from the command line: verified, run, generated from, listed. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { addGenerate } from '../../main/cli/commands/generate'
import { addModels } from '../../main/cli/commands/models'
import { addReferenceScript } from '../../main/cli/commands/reference-script'
import { addRun } from '../../main/cli/commands/run'
import { addVerify } from '../../main/cli/verify/command'
import { decodeSafetensors } from '../../main/models/formats/safetensors'
import { casesFolder } from '../support/cases'
import { terminal } from './support/terminal'

const exportsFolder = path.join(casesFolder, 'onnx-exports')
const model = path.join(exportsFolder, 'gpt2-dynamo/model.onnx')
const cli = terminal(addVerify, addRun, addGenerate, addModels, addReferenceScript)

const cpu = (place: string): string[] => ['--model', place, '--provider', 'cpu']

describe('patchbay verify', () => {
  it('holds every export against the reference beside it, all within 5e-6', async () => {
    const text = await cli.run('verify', exportsFolder, '--provider', 'cpu', '--tolerance', '5e-6')
    const cases = readdirSync(exportsFolder).filter((name) => !name.endsWith('.md'))
    expect(cases.length).toBeGreaterThan(0)
    for (const name of cases)
      for (const group of ['logits', 'activations', 'patterns', 'steered', 'patched', 'ablated', 'gradients'])
        expect(text).toMatch(new RegExp(`^pass {2}${name} .*${group} `, 'm'))
    expect(text).toMatch(/^worst: .* gradients \d\.\de-[6-9] \(.*-.*\)$/m)
    expect(text).toMatch(new RegExp(`^${cases.length} passed, 0 failed`, 'm'))
    expect(process.exitCode).toBeUndefined()
  })

  it('leaves gradients out where the checkpoint’s reference is not there, or is of other tokens', async () => {
    const place = cli.file('cases/onnx-exports/gpt2-dynamo')
    cpSync(path.dirname(model), place, { recursive: true })
    const alone = await cli.run('verify', place, '--provider', 'cpu')
    expect(alone).toMatch(/^pass {2}gpt2-dynamo .*ablated \d/m)
    expect(alone).not.toContain('gradients')
    const checkpoint = cli.file('cases/architectures/gpt2')
    cpSync(path.join(casesFolder, 'architectures/gpt2'), checkpoint, { recursive: true })
    expect(await cli.run('verify', place, '--provider', 'cpu')).toContain('gradients')
    const file = path.join(checkpoint, 'reference.json')
    const reference = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    writeFileSync(file, JSON.stringify({ ...reference, tokA: 1 }))
    expect(await cli.run('verify', place, '--provider', 'cpu')).not.toContain('gradients')
  })

  it('fails an export that does not compute what its reference says', async () => {
    const wrong = cli.file('wrong')
    cpSync(path.dirname(model), wrong, { recursive: true })
    const file = path.join(wrong, 'reference.safetensors')
    const bytes = readFileSync(file)
    decodeSafetensors(bytes).tensors.get('steer.logits')?.bytes.fill(0)
    writeFileSync(file, bytes)
    expect(await cli.run('verify', wrong, '--provider', 'cpu')).toMatch(/FAIL.*wrong.*\n0 passed, 1 failed/)
    expect(process.exitCode).toBe(1)
  })
})

describe('an export by its path', () => {
  it('is run, with any value of its graph captured by its own name', async () => {
    const out = cli.file('out.safetensors')
    const hooks = ['value:embedding', 'hook_embed', 'blocks.1.attn.hook_pattern']
    await cli.run('run', ...cpu(model), '-p', '5 6 7', ...hooks.flatMap((hook) => ['-c', hook]), '--out', out)
    const { tensors } = decodeSafetensors(readFileSync(out))
    const [raw, embedded, pattern] = hooks.map((hook) => tensors.get(hook))
    expect(raw?.shape).toEqual([1, 3, 32])
    expect(raw?.bytes).toHaveLength(4 * 3 * 32)
    expect(raw?.bytes).toEqual(embedded?.bytes)
    expect(pattern?.shape).toEqual([1, 4, 3, 3])
  })

  it('generates what the checkpoint generates that it was made from', async () => {
    const made = [
      model,
      path.join(exportsFolder, 'gpt2-optimum-past'),
      path.join(casesFolder, 'architectures/gpt2'),
    ]
    const texts: string[] = []
    for (const place of made)
      texts.push(await cli.run('generate', ...cpu(place), '-p', '5 6 7', '--max-tokens', '8'))
    expect(texts[0]).not.toBe('')
    expect(new Set(texts).size).toBe(1)
  })

  it('is listed with its hook points, and has no program for transformers', async () => {
    const text = await cli.run('models', ...cpu(model), '--hooks')
    expect(text).toMatch(/^gpt2-dynamo {2}.*onnx, float32/m)
    expect(text).toContain('blocks.1.attn.hook_pattern')
    await expect(cli.run('reference-script', model)).rejects.toMatchObject({ code: 'model.unsupported' })
  })
})
