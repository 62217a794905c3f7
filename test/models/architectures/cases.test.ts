/** Every family, and settings beyond the usual checkpoints', against float64 PyTorch: all tensors of all cases. */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readCase } from '../../../main/analysis/parity/case'
import { checkCase } from '../../../main/analysis/parity/check'
import { allowed } from '../../../main/analysis/parity/groups'
import { caseFolders } from '../../support/cases'
import { openReferenceModel } from '../../support/reference-model'

/** max|a − b| / max|b|, float32 against float64 */
const tolerance = 5e-5

const groups = ['logits', 'activations', 'steered', 'patched', 'ablated', 'generation']

describe('a reference case', () => {
  it.each(caseFolders.map((folder) => ({ folder, name: path.basename(folder) })))(
    '$name gives the numbers of PyTorch',
    async ({ folder }) => {
      const model = await openReferenceModel(folder)
      const reference = await readCase(folder)
      try {
        const results = await checkCase(model, reference)
        const wrong = results.filter(({ group, worst }) => !(worst <= allowed(group, tolerance)))
        expect(wrong).toEqual([])
        const differentiated = reference.names.some((tensor) => tensor.startsWith('grad.'))
        const wanted = differentiated ? [...groups, 'gradients'] : groups
        expect(results.map(({ group }) => group)).toEqual(expect.arrayContaining(wanted))
      } finally {
        await reference.close()
        await model.close()
      }
    },
  )
})
