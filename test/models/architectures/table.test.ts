import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { familyTable, withTable } from '../../../main/models/architectures/table'

const readme = readFileSync(
  path.join(import.meta.dirname, '../../../main/models/architectures/README.md'),
  'utf8',
)

it('The table of families in the documentation is what the registry holds', () => {
  expect(readme).toBe(withTable(readme))
})

it('The table names each family with its names in both kinds of checkpoint', () => {
  const rows = familyTable().split('\n')
  expect(rows.find((row) => row.startsWith('| Mixtral'))).toMatch(/`mixtral` +\| `llama`/)
  expect(rows.find((row) => row.startsWith('| OPT'))).toMatch(/`opt` +\| –/)
})
