/**
 * The Python program is parsed by any Python, and run by one that has transformers: PATCHBAY_PYTHON names it; default
 * `python3`.
 */
import { execFile, spawnSync } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { readCase } from '../../../main/analysis/parity/case'
import { checkCase } from '../../../main/analysis/parity/check'
import { referenceScript, type ScriptSubject } from '../../../main/analysis/parity/reference-script'
import { loadTokenizerFromFolder, tokenizerFromIds } from '../../../main/models/tokenizer'
import { storyworld } from '../naive-model'
import { casesFolder } from '../../support/cases'
import { openReferenceModel } from '../../support/reference-model'
import { useScratch } from '../../models/scratch'

const python = process.env['PATCHBAY_PYTHON'] ?? 'python3'
const has = (program: string): boolean => spawnSync(python, ['-c', program]).status === 0
const hasPython = has('import ast')
const hasTransformers = hasPython && has('import torch, transformers, safetensors')
if (!hasPython) console.warn(`Skipped: there is no ${python} to parse the reference program.`)
if (!hasTransformers)
  console.warn(
    `Skipped: ${python} has no transformers (set PATCHBAY_PYTHON), so no reference is made and compared.`,
  )

const subject = (more: Partial<ScriptSubject> = {}): ScriptSubject => ({
  name: 'llama',
  fingerprint: 'ab'.repeat(32),
  vocab: 160,
  contextLength: 64,
  place: '/models/llama',
  tokenizer: tokenizerFromIds(160),
  ...more,
})
const promptsOf = (text: string): number[][] => {
  const rows = /^PROMPTS = \[\n([^]*?)\n\]/m.exec(text)?.[1].split('\n') ?? []
  return rows.map((row) => row.match(/\d+/g)?.map(Number) ?? [])
}

describe('the reference program', () => {
  const scratch = useScratch()

  it('says which model it is for, and where that lies', async () => {
    const { name, text } = await referenceScript(subject())
    expect(name).toBe('llama-reference.py')
    expect(text).toContain(`MADE_FOR = "${'ab'.repeat(32)}"`)
    expect(text).toContain('MODEL = "/models/llama"')
  })

  it('gives transformers the folder of a single safetensors file', async () => {
    const { text } = await referenceScript(subject({ place: '/models/tiny/model.safetensors' }))
    expect(text).toContain('MODEL = "/models/tiny/."')
  })

  it('holds prompts of equal length that leave room for what is generated', async () => {
    const rows = promptsOf((await referenceScript(subject({ contextLength: 20 }))).text)
    expect(rows.map(({ length }) => length)).toEqual([12, 12])
    expect(rows.flat().every((id) => id < 160)).toBe(true)
  })

  it('holds text where the model has a tokenizer', async () => {
    const tokenizer = await loadTokenizerFromFolder(storyworld)
    try {
      const [row] = promptsOf((await referenceScript(subject({ vocab: 1024, tokenizer }))).text)
      expect(row).toHaveLength(16)
      expect(await tokenizer.decode(row)).toMatch(/^When Mary and John went to the/)
    } finally {
      await tokenizer.close()
    }
  })

  it.skipIf(!hasPython)('is valid Python, whatever the model is called', async () => {
    for (const name of [
      'llama',
      '"""\nimport os; os.abort()',
      '\\',
      'ü 🦙 \u2028 \ud800',
      '../../x',
      '{}%s$',
    ]) {
      const { name: fileName, text } = await referenceScript(subject({ name, place: `/models/${name}` }))
      expect(fileName).toMatch(/^[A-Za-z0-9][A-Za-z0-9.-]*-reference\.py$/)
      const check = [
        'import ast, json, sys',
        'tree = ast.parse(sys.stdin.buffer.read())',
        'values = {n.targets[0].id: ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign)}',
        'print(json.dumps([values["NAME"], values["MODEL"], values["MADE_FOR"]]))',
      ].join('\n')
      const run = spawnSync(python, ['-c', check], { input: text, encoding: 'utf8' })
      expect(run.stderr).toBe('')
      expect(JSON.parse(run.stdout)).toEqual([name, `/models/${name}`, 'ab'.repeat(32)])
    }
  })

  it.skipIf(!hasTransformers).each(['llama', 'gemma2'])(
    'makes a case of %s that Patchbay passes',
    async (name) => {
      const place = path.join(casesFolder, 'architectures', name)
      const model = await openReferenceModel(place)
      const { fingerprint, spec } = model
      try {
        const script = await referenceScript(subject({ ...spec, name, fingerprint, place }))
        const file = await scratch.write(script.name, script.text)
        const out = path.join(scratch.folder, 'reference')
        await promisify(execFile)(python, [file, '--out', out], { cwd: scratch.folder })
        const reference = await readCase(out)
        try {
          expect(reference.reference).toMatchObject({
            name,
            made_for: fingerprint,
            layers: spec.blocks.length,
            computed_in: 'float64',
          })
          const results = await checkCase(model, reference)
          const groups = ['logits', 'activations', 'patterns', 'steered', 'patched', 'ablated', 'generation']
          expect(results.map(({ group }) => group)).toEqual(groups)
          expect(results.filter(({ group, worst }) => worst > (group === 'generation' ? 0 : 5e-5))).toEqual(
            [],
          )
        } finally {
          await reference.close()
        }
      } finally {
        await model.close()
      }
    },
  )
})
