import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { addCertify } from '../../main/cli/commands/certify'
import { addReferenceScript } from '../../main/cli/commands/reference-script'
import { certificate } from '../../preload/certificate'
import { casesFolder } from '../support/cases'

const llama = path.join(casesFolder, 'architectures/llama')
let folder: string
let printed: string[]

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-certify-'))
  vi.stubEnv('PATCHBAY_DATA', path.join(folder, 'data'))
  vi.stubEnv('PATCHBAY_CACHE', path.join(folder, 'cache'))
  printed = []
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line))
  process.exitCode = undefined
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.exitCode = undefined
  rmSync(folder, { recursive: true, force: true })
})

async function patchbay(...words: string[]): Promise<string> {
  const program = new Command('patchbay').exitOverride()
  addCertify(program)
  addReferenceScript(program)
  await program.parseAsync(words, { from: 'user' })
  return printed.splice(0).join('\n')
}

describe('patchbay certify', () => {
  it('checks a model against itself and says what results now say', async () => {
    const text = await patchbay('certify', llama, '--provider', 'cpu')
    expect(text).toContain('llama, float32 on cpu, checked against itself')
    expect(text).toMatch(/pass {2}The stack of blocks against the model as one graph: worst \S+ of ≤ 5e-5/)
    expect(text).toMatch(/results now say: self-checked, \d/)
    expect(process.exitCode).toBeUndefined()
  })

  it('checks a model against a reference and prints the certificate as JSON', async () => {
    const text = await patchbay('certify', llama, '--reference', llama, '--provider', 'cpu', '--json')
    expect(certificate.parse(JSON.parse(text))).toMatchObject({ passed: true, source: { name: 'llama' } })
  })

  it('ends with 1 where the model is not what the reference says', async () => {
    const other = path.join(casesFolder, 'architectures/llama3_rope')
    const text = await patchbay('certify', llama, '--reference', other, '--provider', 'cpu')
    expect(text).toMatch(/FAIL {2}Logits: worst/)
    expect(text).toMatch(/results now say: parity failed, \S+ vs reference/)
    expect(process.exitCode).toBe(1)
  })
})

describe('patchbay reference-script', () => {
  it('prints the program, or writes it to a file', async () => {
    const write = vi.spyOn(process.stdout, 'write').mockImplementation(() => true)
    await patchbay('reference-script', llama)
    const text = String(write.mock.calls[0][0])
    write.mockRestore()
    expect(text).toContain(`MODEL = ${JSON.stringify(llama)}`)

    const out = path.join(folder, 'program.py')
    expect(await patchbay('reference-script', llama, '--out', out)).toContain(out)
    expect(readFileSync(out, 'utf8')).toBe(text)
  })
})
