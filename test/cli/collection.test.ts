import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { addCollection } from '../../main/cli/commands/collection'
import { encodeNpy } from '../../preload/npy'
import { Collections } from '../../main/collections/collections'
import { ActivationStore } from '../../main/cache/store/store'
import { filled, newOutput, numbers } from '../collections/fixture'
import { terminal } from './support/terminal'

const cli = terminal(addCollection)
const resid = 'blocks.0.hook_resid_post'
const rows = Array.from({ length: 12 }, (_, i) => ({
  tokens: [1, 20 + i, 9],
  label: i % 2 === 0 ? 'even' : 'odd \u001b[31m',
  text: i === 3 ? '=1+1' : `row ${i}`,
}))

/** A collection where the command line looks for them. */
async function prepared(): Promise<string> {
  const store = await ActivationStore.open(cli.file('data', 'activations'), { producer: 'test' })
  const collections = new Collections({
    folder: cli.file('data', 'collections'),
    store: () => Promise.resolve(store),
  })
  const id = await filled(
    { collections },
    [newOutput(resid, [null, 4])],
    rows,
    (row) => ({ shape: [3, 4], data: numbers(row, 12) }),
    'My films',
  )
  await collections.close()
  await store.close()
  return id
}

describe('patchbay collection', () => {
  it('lists, shows and labels', async () => {
    const id = await prepared()
    expect(await cli.run('collection', 'ls')).toMatch(
      new RegExp(`^${id}  My films  12 rows  .* MB  made up$`),
    )
    const shown = await cli.run('collection', 'show', 'My films')
    expect(shown).toContain(`output  ${resid}  [pos, d_model 4]  float32`)
    expect(shown).toContain('label  even  6')
    expect(shown).not.toContain('\u001b')
    expect(await cli.run('collection', 'label', id.slice(0, 8), '--name', 'Other', '--pin')).toBe(
      `${id}  Other  pinned`,
    )
    await expect(cli.run('collection', 'show', 'x')).rejects.toThrow('There is no collection "x"')
  })

  it('pages and queries the table', async () => {
    const id = await prepared()
    const page = await cli.run(
      'collection',
      'rows',
      id,
      '--where',
      "label = 'even'",
      '--sort',
      'row',
      '--descending',
      '--count',
      '2',
    )
    expect(page).toMatch(/^ +10 +3 tokens {2}even {2}row 10\n +8 .*\n6 rows fit$/)
    expect(await cli.run('collection', 'query', id, 'SELECT row, text FROM rows WHERE row IN (2, 3)')).toBe(
      "row,text\n2,row 2\n3,'=1+1",
    )
    await expect(cli.run('collection', 'query', id, 'DROP TABLE rows')).rejects.toThrow('no SELECT')
    const first = JSON.parse(await cli.run('collection', 'query', id, 'SELECT 1 AS x', '--json')) as unknown
    expect(first).toMatchObject({ columns: ['x'], rows: [[1]], more: false })
  })

  it('searches, and writes the page', async () => {
    const id = await prepared()
    const found = await cli.run('collection', 'search', id, '-o', resid, '--unit', '2', '--count', '3')
    let [best, row, position] = [-Infinity, 0, 0]
    for (let r = 0; r < 12; r++)
      for (let p = 0; p < 3; p++)
        if (numbers(r, 12)[4 * p + 2] > best) [best, row, position] = [numbers(r, 12)[4 * p + 2], r, p]
    expect(found).toContain(`d_model 2 at ${resid}\n36 positions in 12 rows`)
    const texts = rows[row].tokens.map((id, i) => (i === position ? `⟦t${id}⟧` : `t${id}`))
    expect(found).toContain(`highest:\n${String(Number(best.toPrecision(4))).padStart(10)}  row ${row} (`)
    expect(found).toContain(texts.join(''))
    const direction = cli.file('d.npy')
    writeFileSync(direction, encodeNpy({ type: 'float32', shape: [4], data: Float32Array.of(0, 0, 1, 0) }))
    const along = await cli.run('collection', 'search', id, '-o', resid, '--direction', direction, '--json')
    expect((JSON.parse(along) as { top: { value: number }[] }).top[0].value).toBe(best)
    const file = cli.file('page.html')
    await cli.run('collection', 'page', id, '-o', resid, '--unit', '2', '--title', 'A <b>', '--out', file)
    expect(readFileSync(file, 'utf8')).toContain('<h1>A &lt;b&gt;</h1>')
    await expect(cli.run('collection', 'search', id, '-o', resid)).rejects.toThrow(
      'not said what to search for',
    )
  })

  it('exports into a new folder, and removes', async () => {
    const id = await prepared()
    const folder = cli.file('exported')
    const printed = await cli.run('collection', 'export', id, '--out', folder, '--where', 'row < 5')
    expect(printed).toContain('values.safetensors')
    expect(printed).toContain('load_file')
    expect(existsSync(path.join(folder, 'load.py'))).toBe(true)
    expect(await cli.run('collection', 'rm', id)).toContain('removed')
    expect(await cli.run('collection', 'ls')).toContain('There are no collections')
  })
})
