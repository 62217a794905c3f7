/** Lines by number, whether they are read together or one by one. */
import { expect, it } from 'vitest'
import path from 'node:path'
import { z } from 'zod'
import { LinesReader, writeLines } from '../../main/collections/lines-file'
import { scratch } from './fixture'

it('picks lines in any order, near and far from each other', async () => {
  const file = path.join(scratch(), 'lines.jsonl')
  // Lines of 50,000 characters in the middle: others are far from each other over them.
  const values = Array.from({ length: 40 }, (_, i) => ({ i, text: 'ü'.repeat(i > 9 && i < 30 ? 25_000 : i) }))
  const facts = await writeLines(file, values)
  const reader = await LinesReader.open(file, facts, z.object({ i: z.number(), text: z.string() }))
  try {
    for (const lines of [
      [],
      [0],
      [39],
      [0, 1, 2, 8, 39],
      [8, 2, 39, 3, 4, 0],
      [3, 10, 11, 20, 29, 30],
      values.map(({ i }) => i),
    ]) {
      const found = []
      for await (const line of reader.pick(Int32Array.from(lines))) found.push(line)
      expect(found).toEqual(lines.map((line) => values[line]))
    }
  } finally {
    await reader.close()
  }
})
