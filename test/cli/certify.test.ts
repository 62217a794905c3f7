import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { addCertify } from '../../main/cli/commands/certify'
import { addReferenceScript } from '../../main/cli/commands/reference-script'
import { certificate } from '../../preload/certificate'
import { casesFolder } from '../support/cases'
import { terminal } from './support/terminal'

const llama = path.join(casesFolder, 'architectures/llama')

const cli = terminal(addCertify, addReferenceScript)
const patchbay = cli.run

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
    const text = await patchbay('reference-script', llama)
    expect(text).toContain(`MODEL = ${JSON.stringify(llama)}`)

    const out = cli.file('program.py')
    expect(await patchbay('reference-script', llama, '--out', out)).toContain(out)
    expect(readFileSync(out, 'utf8')).toBe(text)
  })
})
