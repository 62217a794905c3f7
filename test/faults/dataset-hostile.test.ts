/** Data sets that are made to exhaust whoever reads them. */
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readRows, type SourceFailure } from '../../main/datasets'
import { useFolder } from '../datasets/support'

const folder = useFolder()

/** Rows and failures of a file, and what ended the reading. */
async function outcome(file: string): Promise<{ rows: number; failures: string[]; error: unknown }> {
  const failures: string[] = []
  const onFailure = ({ error }: SourceFailure): void => void failures.push(error.code)
  let rows = 0
  try {
    for await (const row of readRows({ kind: 'file', path: file }, { onFailure }))
      if (Object.keys(row.cells).length > 0) rows++
    return { rows, failures, error: null }
  } catch (error) {
    return { rows, failures, error }
  }
}

describe('a hostile data set', () => {
  const depth = 200_000
  const deep = (open: string, close: string): string => open.repeat(depth) + close.repeat(depth)

  it.each([
    ['lists', deep('[', ']')],
    ['objects', `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`],
    ['a cell of lists', `{"text":${deep('[', ']')}}`],
    ['lists that do not end', '['.repeat(depth)],
  ])('of JSON lines 200,000 deep is a failure of that line, and the others are read: %s', async (_, line) => {
    const { rows, failures, error } = await outcome(
      folder.write('deep.jsonl', `{"text":"a"}\n${line}\n{"text":"b"}\n`),
    )
    expect(error).toBeNull()
    // A cell that can be kept as text is one; what can not is named.
    expect(rows + failures.length).toBe(3)
    expect(rows).toBeGreaterThanOrEqual(2)
    for (const code of failures) expect(code).toBe('file.malformed')
  })

  it('of a JSON list 200,000 deep ends in words or in rows', async () => {
    const { rows, failures, error } = await outcome(
      folder.write('deep.json', `[{"text":"a"},${deep('[', ']')},{"text":"b"}]`),
    )
    expect(rows + failures.length).toBeGreaterThanOrEqual(1)
    if (error !== null) expect(error).toMatchObject({ code: 'file.malformed' })
  })

  it('that unpacks to a line of 100 MB is refused at that line, without keeping it', async () => {
    const bomb = gzipSync(Buffer.alloc(100 << 20, 'x'), { level: 1 })
    expect(bomb.length).toBeLessThan(1 << 20)
    const before = process.memoryUsage().arrayBuffers
    const { rows, failures, error } = await outcome(folder.write('bomb.jsonl.gz', bomb))
    expect([rows, failures, error]).toEqual([0, ['file.malformed'], null])
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(80 << 20)
  }, 60_000)

  it('with columns named like an object’s own members has them as columns and nothing else', async () => {
    const file = folder.write('names.csv', '__proto__,constructor,toString\na,b,c\n')
    for await (const { cells } of readRows({ kind: 'file', path: file })) {
      expect(Object.keys(cells).sort()).toEqual(['__proto__', 'constructor', 'toString'])
      expect(Object.getOwnPropertyDescriptor(cells, '__proto__')?.value).toBe('a')
    }
    expect(Object.hasOwn(Object.prototype, 'a')).toBe(false)
  })
})
