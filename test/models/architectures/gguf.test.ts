/** Every GGUF architecture: metadata to logits, against what the file stands for in float64. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkLogits, expectationOf } from '../../../main/analysis/parity/gguf-case'
import { ggufFamilies } from '../../../main/models/architectures/registry'
import { openCheckpoint } from '../../../main/models/formats/checkpoint'
import { ggufString } from '../../../main/models/formats/gguf/values'
import { casesFolder } from '../../support/cases'
import { openReferenceModel } from '../../support/reference-model'

const folder = path.join(casesFolder, 'gguf')
const files = readdirSync(folder).filter((file) => file.endsWith('.gguf') && file !== 'quants.gguf')

describe('a GGUF file', () => {
  it.each(files)('%s gives the expected logits', async (name) => {
    const file = path.join(folder, name)
    const model = await openReferenceModel(file)
    try {
      const [{ worst }] = await checkLogits(model, (await expectationOf(file)) ?? 'nothing')
      expect(worst).toBeLessThanOrEqual(1e-5)
    } finally {
      await model.close()
    }
  })
})

it('There is a GGUF file for every architecture that is read', async () => {
  const seen = new Set<string | undefined>()
  for (const name of files) {
    const checkpoint = await openCheckpoint(path.join(folder, name))
    seen.add(ggufString(checkpoint.metadata, 'general.architecture'))
    await checkpoint.close()
  }
  const missing = ggufFamilies.flatMap(({ architectures }) => architectures).filter((name) => !seen.has(name))
  expect(missing).toEqual([])
})
