import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findCases } from '../../../main/analysis/parity/find-cases'
import { interopCase } from '../../../main/analysis/parity/interop'
import { casesFolder } from '../../support/cases'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-interop-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const attribution = { library: 'torch', tokA: 1, tokB: 2, clean_row: 0, corrupt_row: 1, ig_steps: 4 }

function caseAt(place: string, content: object): string {
  const whole = path.join(folder, place)
  mkdirSync(whole, { recursive: true })
  writeFileSync(path.join(whole, 'reference.json'), JSON.stringify(content))
  return whole
}

function checkpointAt(place: string): string {
  const whole = path.join(folder, place)
  mkdirSync(whole, { recursive: true })
  writeFileSync(path.join(whole, 'config.json'), '{}')
  return whole
}

describe('cases of other libraries', () => {
  it('are told apart from ordinary ones', async () => {
    expect(await interopCase(path.join(casesFolder, 'architectures/llama'))).toBeNull()
    expect(await interopCase(caseAt('odd', { library: 'odd lib' }))).toEqual({
      kind: 'unread',
      library: 'odd lib',
    })
  })

  it('name their checkpoint by a path below a folder above them', async () => {
    const model = checkpointAt('architectures/tiny')
    const place = caseAt('interop/attribution/tiny', { ...attribution, checkpoint: 'architectures/tiny' })
    expect(await interopCase(place)).toEqual({ kind: 'attribution', model })
  })

  it.each(['../secret', '/etc', 'a/../../secret', 'nowhere', '', 5])(
    'follow no path such as %j',
    async (checkpoint) => {
      checkpointAt('secret')
      const place = caseAt('interop/attribution/tiny', { ...attribution, checkpoint })
      expect(await interopCase(place)).toEqual({ kind: 'attribution', model: null })
    },
  )

  it('are found in folders of folders, with the name of the group', async () => {
    caseAt('group/b', attribution)
    caseAt('group/a', attribution)
    caseAt('alone', attribution)
    const found = await findCases(folder)
    expect(found.map(({ name }) => name)).toEqual(['alone', 'group/a', 'group/b'])
  })

  it('refuse a description that is no JSON', async () => {
    const place = caseAt('broken', {})
    writeFileSync(path.join(place, 'reference.json'), '{')
    await expect(interopCase(place)).rejects.toMatchObject({ code: 'file.malformed' })
  })
})
