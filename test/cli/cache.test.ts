import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { addCache } from '../../main/cli/commands/cache'
import { addRun } from '../../main/cli/commands/run'
import { terminal } from './support/terminal'

const cli = terminal(addCache, addRun)
const patchbay = cli.run

const hook = 'blocks.1.hook_resid_post'
const run = (...more: string[]): Promise<string> =>
  patchbay('run', '--provider', 'cpu', '--prompt', 'The acting was', '-c', hook, ...more)

describe('patchbay cache', () => {
  it('keeps what a run computes, and the next process reads it: identical bytes, nothing computed', async () => {
    const [first, second] = ['first', 'second'].map((name) => cli.file(`${name}.safetensors`))
    const before = JSON.parse(await run('--keep', 'film', '--out', first, '--json')) as { sources: unknown }
    expect(before.sources).toEqual({ [hook]: 'computed', 'logits:last': 'computed' })
    const after = JSON.parse(await run('--out', second, '--json')) as { sources: unknown }
    expect(after.sources).toEqual({ [hook]: 'disk', 'logits:last': 'disk' })
    expect(readFileSync(second)).toEqual(readFileSync(first))
    expect(await run()).toContain('from disk')
  })

  it('lists, pins, exports, removes and imports', async () => {
    await run('--keep', 'film')
    await patchbay('cache', 'pin', 'film', '--name', 'Film reviews', '--note', 'for \u001b[31mlater')
    const list = await patchbay('cache', 'ls')
    expect(list).toMatch(/^film .* 2 entries .* pinned {2}Film reviews/)
    expect(list).not.toContain('\u001b')
    expect(JSON.parse(await patchbay('cache', 'ls', '--json'))).toMatchObject({
      entries: 2,
      sets: [{ set: 'film', label: { pinned: true } }],
    })
    expect(await patchbay('cache', 'ls', 'film')).toMatch(
      /blocks\.1\.hook_resid_post {2}float32 \[\d+, \d+\] {2}exact/,
    )
    const bundle = cli.file('film.safetensors')
    expect(await patchbay('cache', 'export', bundle, '--set', 'film')).toMatch(/^2 entries of 1 rows/)
    expect(await patchbay('cache', 'rm', '--output', hook)).toMatch(/^1 entries removed/)
    expect(await patchbay('cache', 'import', bundle, '--set', 'again')).toBe(
      '1 entries stored as again, 1 were there already',
    )
    expect(await patchbay('cache', 'gc', '--quota', '1GB')).toMatch(/^0 files evicted/)
    expect(await patchbay('cache', 'ls')).toContain('2 entries, 0.')
    expect(await patchbay('cache', 'verify')).toMatch(/^2 entries in 2 files/)
    expect(process.exitCode).toBeUndefined()
  })

  it('says what is damaged, and ends with 1', async () => {
    await run('--keep', 'film')
    const shards = cli.file('data', 'activations', 'shards')
    const [name] = readdirSync(shards)
    const bytes = readFileSync(path.join(shards, name))
    bytes[bytes.length - 1] ^= 1
    writeFileSync(path.join(shards, name), bytes)
    expect(await patchbay('cache', 'verify')).toMatch(/damaged: shards\/.*@float32 {2}.*checksum/)
    expect(process.exitCode).toBe(1)
  })

  it('removes nothing where it is not said what, and pins only what there is', async () => {
    await expect(patchbay('cache', 'rm')).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(patchbay('cache', 'pin', 'none')).rejects.toMatchObject({ code: 'input.invalid' })
    await expect(run('--keep', '../x')).rejects.toMatchObject({ code: 'input.invalid', field: 'set' })
  })

  it('refuses flags beside a request that would say nothing of them', async () => {
    await expect(run('--request', '{}')).rejects.toMatchObject({ code: 'input.invalid', field: 'prompt' })
  })
})
